/**
 * One simulated WebSocket connection: two pipes and two ends, which may learn of its end at different times or only by
 * their own heartbeats.
 */
import type { Socket, SocketEvents } from "../../server/src/gateway/socket.ts";
import type { Dice } from "./dice.ts";
import type { Journal } from "./journal.ts";
import { Pipe } from "./pipe.ts";
import type { VirtualTime } from "./virtual-time.ts";

/** What travels: the answer to the handshake, text, or the end of the conversation. */
type Frame = "opened" | { readonly text: string } | { readonly code: number; readonly reason: string };

/** What the client's end of a connection is told. */
export interface ClientEvents {
  opened(): void;
  message(text: string): void;
  /** The end; 1006 when it came without a closing handshake. */
  closed(code: number, reason: string): void;
}

/** How one connection's network behaves. */
export interface Line {
  readonly latencyMs: number;
  /** Each frame travels for up to so much longer. */
  readonly jitterMs: number;
  readonly bytesPerMs: number;
}

/** After a side has said goodbye, the other has so long to answer. */
const CLOSING_MS = 30_000;
const NO_HANDSHAKE = 1006;

export class Connection {
  readonly name: string;
  /** What the gateway holds. */
  readonly socket: Socket;
  readonly #time: VirtualTime;
  readonly #dice: Dice;
  readonly #journal: Journal;
  readonly #client: ClientEvents;
  readonly #toServer: Pipe<Frame>;
  readonly #toClient: Pipe<Frame>;
  readonly #line: Line;
  readonly #onOver: () => void;
  #serverEvents: SocketEvents | undefined;
  #clientOver = false;
  #serverOver = false;
  #clientClosing = false;
  #serverClosing = false;

  constructor(
    name: string,
    { time, dice, journal, line }: { time: VirtualTime; dice: Dice; journal: Journal; line: Line },
    client: ClientEvents,
    onOver: () => void,
  ) {
    this.name = name;
    this.#time = time;
    this.#dice = dice;
    this.#journal = journal;
    this.#client = client;
    this.#line = line;
    this.#onOver = onOver;
    const latencyMs = (): number => line.latencyMs + dice.next() * line.jitterMs;
    this.#toServer = new Pipe<Frame>(time, {
      latencyMs,
      bytesPerMs: line.bytesPerMs,
      arrived: (frame) => this.#reachedServer(frame),
      drained: () => {},
    });
    this.#toClient = new Pipe<Frame>(time, {
      latencyMs,
      bytesPerMs: line.bytesPerMs,
      arrived: (frame) => this.#reachedClient(frame),
      drained: () => {
        if (!this.#serverOver) this.#serverEvents?.drained();
      },
    });
    const buffered = (): number => this.#toClient.bufferedBytes;
    this.socket = {
      send: ({ bytes }) => this.#sendToClient(bytes),
      get bufferedBytes() {
        return buffered();
      },
      close: (code, reason) => this.#closeByServer(code, reason),
      terminate: () => this.reset(),
    };
  }

  /** Whether there are two ends that do not know of any end yet. */
  get whole(): boolean {
    return !this.#clientOver && !this.#serverOver && !this.#clientClosing;
  }

  /** How long a handshake or a farewell travels. */
  get travelMs(): number {
    return this.#line.latencyMs + this.#dice.next() * this.#line.jitterMs;
  }

  /** The gateway takes it. */
  accept(events: SocketEvents): void {
    this.#serverEvents = events;
    this.#toClient.send("opened", 8);
  }

  // ── the client's side ──────────────────────────────────────────────────────

  sendToServer(text: string): void {
    if (this.#clientOver || this.#clientClosing) return;
    this.#journal.note(() => `${this.name} > ${text}`);
    this.#toServer.send({ text }, text.length);
  }

  closeByClient(code: number, reason: string): void {
    if (this.#clientOver || this.#clientClosing) return;
    this.#clientClosing = true;
    this.#journal.note(() => `${this.name} client closes ${code}`);
    this.#toServer.send({ code, reason }, 8);
    this.#time.after(CLOSING_MS, () => this.#endClient(NO_HANDSHAKE, ""));
  }

  // ── faults ─────────────────────────────────────────────────────────────────

  /** Cut, and both ends hear of it, each in its time. */
  reset(): void {
    this.#cutPipes("is reset");
    this.#time.after(this.travelMs, () => this.#endClient(NO_HANDSHAKE, ""));
    this.#time.after(this.travelMs, () => this.#endServer());
  }

  /** Cut, and nobody is told. */
  vanish(): void {
    this.#cutPipes("vanishes");
    if (!this.#serverEvents) this.#endServer();
  }

  /**
   * The client's side is gone: the client hears it at once, the gateway still receives what was sent before, and hears
   * of the end later or never.
   */
  loseClient(told: boolean): void {
    if (this.#clientOver) return;
    this.#journal.note(() => `${this.name} loses its client${told ? "" : ", the gateway is not told"}`);
    this.#toClient.cut();
    this.#endClient(NO_HANDSHAKE, "");
    if (!this.#serverEvents) this.#endServer();
    else if (told) this.#time.after(this.#dice.between(0, 3000), () => this.#endServer());
  }

  /** Cut, and only the gateway is told. */
  deceiveClient(): void {
    this.#cutPipes("is over for the gateway only");
    this.#endServer();
  }

  /** The gateway's process is gone: nobody is left there to be told anything. */
  loseGateway(told: boolean): void {
    this.#serverEvents = undefined;
    this.#cutPipes("loses its gateway");
    this.#endServer();
    if (told) this.#time.after(this.travelMs, () => this.#endClient(NO_HANDSHAKE, ""));
  }

  /** Neither side reads for `ms`. */
  stall(ms: number): void {
    this.#journal.note(() => `${this.name} stalls for ${Math.round(ms)} ms`);
    this.#toServer.stall(ms);
    this.#toClient.stall(ms);
  }

  /** The line carries whatever is sent, at once. */
  widen(): void {
    this.#toServer.widen();
    this.#toClient.widen();
  }

  // ── what arrives ───────────────────────────────────────────────────────────

  #reachedServer(frame: Frame): void {
    if (this.#serverOver || frame === "opened") return;
    if ("text" in frame) {
      if (!this.#serverClosing) this.#serverEvents?.message(frame.text);
      return;
    }
    // The client's farewell, or its answer to the gateway's.
    if (!this.#serverClosing) this.#toClient.send(frame, 8);
    this.#endServer();
  }

  #reachedClient(frame: Frame): void {
    if (this.#clientOver) return;
    if (frame === "opened") {
      if (!this.#clientClosing) this.#client.opened();
    } else if ("text" in frame) {
      if (this.#clientClosing) return;
      this.#journal.note(() => `${this.name} < ${frame.text}`);
      this.#client.message(frame.text);
    } else {
      if (!this.#clientClosing) this.#toServer.send(frame, 8);
      this.#endClient(frame.code, frame.reason);
    }
  }

  #sendToClient(bytes: Uint8Array): void {
    if (this.#serverOver || this.#serverClosing) return;
    this.#toClient.send({ text: decoder.decode(bytes) }, bytes.length);
  }

  #closeByServer(code: number, reason: string): void {
    if (this.#serverOver || this.#serverClosing) return;
    this.#serverClosing = true;
    this.#journal.note(() => `${this.name} gateway closes ${code} ${reason}`);
    this.#toClient.send({ code, reason }, 8);
    this.#time.after(CLOSING_MS, () => this.#endServer());
  }

  #cutPipes(how: string): void {
    const cut = this.#toServer.travelling + this.#toClient.travelling;
    this.#journal.note(() => `${this.name} ${how}${cut > 0 ? `, ${cut} frames cut off` : ""}`);
    this.#toServer.cut();
    this.#toClient.cut();
  }

  #endClient(code: number, reason: string): void {
    if (this.#clientOver) return;
    this.#clientOver = true;
    this.#journal.note(() => `${this.name} is over for the client, ${code}`);
    this.#client.closed(code, reason);
    if (this.#clientOver && this.#serverOver) this.#onOver();
  }

  #endServer(): void {
    if (this.#serverOver) return;
    this.#serverOver = true;
    this.#journal.note(() => `${this.name} is over for the gateway`);
    this.#serverEvents?.closed();
    if (this.#clientOver && this.#serverOver) this.#onOver();
  }
}

const decoder = new TextDecoder();
