/** What all connections of a load have received, counted and checked. */
import { LatencyHistogram } from "./latency-histogram.ts";

export class Tally {
  /** Messages that were the next of their channel for their subscriber, or came after some that were lost. */
  delivered = 0;
  /** Messages that never came, as far as a later one shows it. */
  lost = 0;
  /** Messages that had come before, or came too late. */
  repeated = 0;
  /** Messages that are damaged or strange. */
  wrong = 0;
  /** Bytes and frames, with the protocol's. */
  bytes = 0;
  frames = 0;
  /** Of deliveries that were due within the window. */
  readonly latency: LatencyHistogram = new LatencyHistogram();
  #from = Infinity;
  #to = Infinity;

  /** Latency is only recorded of messages that were due in this span of µs. */
  recordBetween(from: number, to: number): void {
    this.latency.clear();
    this.#from = from;
    this.#to = to;
  }

  record(due: number, now: number): void {
    if (due >= this.#from && due < this.#to) this.latency.add(now - due);
  }
}
