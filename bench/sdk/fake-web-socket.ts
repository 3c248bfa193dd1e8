/** A WebSocket without a network, for SDKs that take one: it answers their first commands, and then gives them recorded frames. */

interface Command {
  readonly id?: number;
  readonly subscribe?: { readonly channel: string };
}

interface MessageEventLike {
  readonly data: string;
}

type Listener = (event: never) => void;

/** As a browser's: listeners are added, or assigned to a property. */
export class FakeWebSocket {
  /** The one that was opened last. */
  static latest: FakeWebSocket | undefined;
  onopen: (() => void) | null = null;
  onmessage: ((event: MessageEventLike) => void) | null = null;
  onerror: ((event: unknown) => void) | null = null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null = null;
  readonly #listeners = new Map<string, Listener[]>();

  constructor(_url: string) {
    FakeWebSocket.latest = this;
    setImmediate(() => this.#tell("open", this.onopen, undefined));
  }

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, [...(this.#listeners.get(type) ?? []), listener]);
  }

  send(text: string): void {
    const answers = text.split("\n").flatMap((line) => {
      const { id, subscribe } = JSON.parse(line) as Command;
      if (id === undefined) return [];
      return JSON.stringify({ id, ...(subscribe ? SUBSCRIBED : CONNECTED) });
    });
    if (answers.length > 0) setImmediate(() => this.receive(answers.join("\n")));
  }

  /** A frame comes in. */
  receive(data: string): void {
    this.#tell("message", this.onmessage, { data });
  }

  close(): void {
    setImmediate(() => this.#tell("close", this.onclose, { code: 1000, reason: "" }));
  }

  #tell<Event>(type: string, assigned: ((event: Event) => void) | null, event: Event): void {
    assigned?.(event);
    for (const listener of this.#listeners.get(type) ?? []) (listener as (event: Event) => void)(event);
  }
}

/** With the pings that every gateway announces: a client that watches for their absence does so in the benchmark too. */
const CONNECTED = { connect: { client: "bench", version: "0", ping: 25, pong: true, todoku: { version: 1 } } };
const SUBSCRIBED = { subscribe: { recoverable: true, positioned: true, epoch: "e", offset: 0 } };
