/** Transfers on their way: kept over a reload, and repeated under the same name until they are answered. */
import { TodokuError, type Todoku } from "@todoku/client";
import { TRANSFERS, type Channels, type Transfer } from "../messages.ts";

const KEY = "payments-under-way";
const PAUSE_MS = 1000;

interface UnderWay {
  readonly transfer: Transfer;
  /** When it was first sent, in milliseconds since 1970. */
  readonly at: number;
}

export class Sending {
  readonly #client: Todoku<Channels>;
  readonly #changed: () => void;
  /** By name: what has no entry in the book yet. */
  readonly #underWay: Map<string, UnderWay>;
  /** Why the last one was refused by the gateway. */
  refused: string | undefined;
  sent = 0;

  constructor(client: Todoku<Channels>, changed: () => void) {
    this.#client = client;
    this.#changed = changed;
    const kept = JSON.parse(localStorage[KEY] ?? "[]") as readonly UnderWay[];
    this.#underWay = new Map(kept.map((one) => [one.transfer.transfer, one]));
    this.sent = kept.length;
    for (const { transfer } of kept) void this.#publish(transfer);
  }

  /** When the oldest that is under way was sent. */
  get since(): number {
    return Math.min(Infinity, ...[...this.#underWay.values()].map(({ at }) => at));
  }

  get underWay(): number {
    return this.#underWay.size;
  }

  send(from: string, to: string, amount: number): void {
    const transfer = { transfer: crypto.randomUUID(), from, to, amount };
    this.#underWay.set(transfer.transfer, { transfer, at: Date.now() });
    this.sent++;
    this.#keep();
    void this.#publish(transfer);
  }

  /** It has an entry in the book. */
  arrived(transfer: string): void {
    if (this.#underWay.delete(transfer)) this.#keep();
  }

  async #publish(transfer: Transfer): Promise<void> {
    while (this.#underWay.has(transfer.transfer)) {
      try {
        await this.#client.publish(TRANSFERS, transfer, { key: transfer.transfer });
        return;
      } catch (error) {
        if (error instanceof TodokuError && error.retry === "stop") {
          this.refused = error.message;
          return this.arrived(transfer.transfer);
        }
        // Whatever became of it, the same name makes the next try safe.
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }

  #keep(): void {
    localStorage[KEY] = JSON.stringify([...this.#underWay.values()]);
    this.#changed();
  }
}
