/** The WebSocket that a simulated client is given: the part of the browsers' interface that the SDK uses. */
import type { Connection } from "./connection.ts";
import type { Network } from "./network.ts";
import type { ProcessClock } from "./virtual-time.ts";

interface SocketEvent {
  readonly data: string;
  readonly code: number;
  readonly reason: string;
}

type EventName = "open" | "message" | "error" | "close";
type Listener = (event: SocketEvent) => void;

/** A constructor bound to one client: its sockets fall silent when its process dies. */
export function webSocketOf(
  client: string,
  network: Network,
  clock: ProcessClock,
  onDialled: (connection: Connection) => void,
): new () => SimulatedWebSocket {
  return class extends SimulatedWebSocket {
    constructor() {
      super(client, network, clock);
      onDialled(this.connection);
    }
  };
}

export class SimulatedWebSocket {
  readonly #clock: ProcessClock;
  readonly connection: Connection;
  readonly #listeners = new Map<EventName, Listener[]>();
  #state: "connecting" | "open" | "closed" = "connecting";

  constructor(client: string, network: Network, clock: ProcessClock) {
    this.#clock = clock;
    this.connection = network.connect(client, {
      opened: () => {
        this.#state = "open";
        this.#tell("open");
      },
      message: (data) => this.#tell("message", { data }),
      closed: (code, reason) => {
        const opened = this.#state === "open";
        this.#state = "closed";
        if (!opened) this.#tell("error");
        this.#tell("close", { code, reason });
      },
    });
  }

  addEventListener(name: EventName, listener: Listener): void {
    const listeners = this.#listeners.get(name) ?? [];
    this.#listeners.set(name, [...listeners, listener]);
  }

  send(text: string): void {
    if (this.#state === "connecting") throw new DOMException("still connecting", "InvalidStateError");
    this.connection.sendToServer(text);
  }

  close(code = 1000, reason = ""): void {
    this.connection.closeByClient(code, reason);
  }

  #tell(name: EventName, { data = "", code = 0, reason = "" }: Partial<SocketEvent> = {}): void {
    if (!this.#clock.alive) return;
    for (const listener of this.#listeners.get(name) ?? []) listener({ data, code, reason });
  }
}
