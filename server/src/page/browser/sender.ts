/** Publishes, and tells the ledger what was accepted. */
import type { Todoku } from "@todoku/client";
import { shortName } from "./tab.ts";
import type { Sent } from "./tally.ts";

const COUNT = "todoku-page/count";

export interface Accepted {
  readonly epoch?: string;
  readonly offset?: number;
  readonly duplicate?: boolean;
}

export class Sender {
  readonly #client: Todoku;
  readonly #tab: string;
  readonly #onSent: (channel: string, sent: Sent) => void;

  constructor(client: Todoku, tab: string, onSent: (channel: string, sent: Sent) => void) {
    this.#client = client;
    this.#tab = tab;
    this.#onSent = onSent;
  }

  /** Over this tab's connection. Resolves when the server has accepted it. */
  async publish(channel: string, text: string): Promise<void> {
    const id = this.#nextId();
    const at = Date.now();
    this.#record(channel, id, at, await this.#client.publish(channel, this.#data(id, text)));
  }

  /** The same message under the same key, one after the other; resolves with what became of the second. */
  async publishTwice(channel: string, text: string): Promise<Accepted> {
    const id = this.#nextId();
    const at = Date.now();
    const data = this.#data(id, text);
    this.#record(channel, id, at, await this.#client.publish(channel, data, { key: id }));
    return this.#client.publish(channel, data, { key: id });
  }

  /** Through the HTTP API, as someone else. Rejects when that is out of reach or refuses. */
  async post(channel: string, text: string): Promise<void> {
    const id = this.#nextId();
    const at = Date.now();
    const response = await fetch("/api/publish", {
      method: "POST",
      body: JSON.stringify({ channel, data: { id, text, from: "someone else" }, idempotency_key: id }),
    });
    const { result = {}, error } = (await response.json()) as { result?: Accepted; error?: { message: string } };
    if (error) throw new Error(error.message);
    this.#record(channel, id, at, result);
  }

  #data(id: string, text: string): { id: string; text: string; from: string } {
    return { id, text, from: `tab ${shortName(this.#tab)}` };
  }

  #record(channel: string, id: string, at: number, { epoch, offset }: Accepted): void {
    this.#onSent(channel, {
      id,
      at,
      ...(epoch !== undefined && { epoch }),
      ...(offset !== undefined && { offset }),
    });
  }

  /** Unlike any id of another tab, and of this one before a reload. */
  #nextId(): string {
    const count = Number(sessionStorage.getItem(COUNT) ?? 0) + 1;
    sessionStorage.setItem(COUNT, String(count));
    return `${this.#tab}-${count}`;
  }
}
