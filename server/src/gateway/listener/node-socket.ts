/** One WebSocket on a stream of Node: the frames and the closing handshake, without anything a connection does not need. */
import { Socket as NetSocket } from "node:net";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { CLOSES } from "@todoku/protocol";
import type { Clock } from "../../clock.ts";
import type { Payload, Socket, SocketEvents } from "../socket.ts";
import { CLOSE, FrameReader, PONG, type FrameEvents } from "./frame-reader.ts";
import { frameOf, type TextFrames } from "./text-frames.ts";

/** Whom a socket belongs to, and what it shares with others. */
export interface SocketHost {
  readonly clock: Clock;
  readonly frames: TextFrames;
  /** Largest message in bytes. */
  readonly frameBytes: number;
  /** The connection is over. */
  parted(socket: Socket): void;
}

/** How a connection ends that sends a binary frame. */
export const notSpoken = {
  code: CLOSES.badRequest.code,
  reason: `${CLOSES.badRequest.message}: binary frames are not spoken here`,
} as const;

/** A peer that does not answer the closing handshake is cut after so long. */
const CLOSING_MS = 30_000;
/** Who asks for more pongs than it reads is not owed them all: the last would do. */
const MOST_PONG_BYTES = 16 * 1024;
const NOTHING = new Uint8Array();

export class NodeSocket implements Socket, FrameEvents {
  readonly #stream: Duplex;
  readonly #host: SocketHost;
  readonly #reader: FrameReader;
  /** The stream may hold on to what it is given: it is not the system's own, which has taken all that it does not wait with. */
  readonly #keeps: boolean;
  #events: SocketEvents | undefined;
  /** Gives the place among the unauthenticated back. */
  #release: (() => void) | undefined;
  #closing = false;
  #waiting = false;
  #cancelCut: (() => void) | undefined;

  /** The handshake was answered on the stream. `release` is called once: when the client is authenticated, or the connection is over. */
  constructor(stream: Duplex, host: SocketHost, release: () => void) {
    this.#stream = stream;
    this.#host = host;
    this.#release = release;
    this.#reader = new FrameReader(this, host.frameBytes);
    this.#keeps = !(stream instanceof NetSocket) || stream instanceof TLSSocket;
  }

  /** Begins to read; `head` is what came with the handshake already. */
  begin(events: SocketEvents, head: Buffer): void {
    this.#events = events;
    const stream = this.#stream;
    // Whoever says no more is not listened to any longer either.
    stream.allowHalfOpen = false;
    stream.on("data", (chunk: Buffer) => this.#reader.read(chunk));
    stream.on("close", () => this.#over());
    if (head.length > 0) this.#reader.read(head);
  }

  // ── for the gateway ────────────────────────────────────────────────────────

  get bufferedBytes(): number {
    return this.#stream.writableLength;
  }

  send(payload: Payload): void {
    if (this.#closing) return;
    const stream = this.#stream;
    const { frames } = this.#host;
    // A callback for each frame would cost more than all else here: only what the system does not take at once has one.
    stream.write(frames.of(payload, this.#waiting || this.#keeps));
    if (stream.writableLength === 0) return;
    frames.kept();
    if (!this.#waiting) this.#wait();
  }

  /** A write of nothing is done when all before it is. */
  #wait(): void {
    this.#waiting = true;
    this.#stream.write(NOTHING, (error) => {
      this.#waiting = false;
      if (error) return;
      if (this.bufferedBytes > 0) this.#wait();
      else this.#events?.drained();
    });
  }

  authenticated(): void {
    this.#release?.();
    this.#release = undefined;
  }

  close(code: number, reason: string): void {
    const text = Buffer.from(reason);
    const payload = Buffer.allocUnsafe(2 + text.length);
    payload.writeUInt16BE(code);
    payload.set(text, 2);
    this.#sayGoodbye(payload);
  }

  terminate(): void {
    this.#stream.destroy();
  }

  // ── from the client ────────────────────────────────────────────────────────

  text(text: string): void {
    this.#events?.message(text);
  }

  binary(): void {
    this.close(notSpoken.code, notSpoken.reason);
  }

  ping(payload: Uint8Array): void {
    if (!this.#closing && this.bufferedBytes < MOST_PONG_BYTES) this.#stream.write(frameOf(PONG, payload));
  }

  closing(payload: Uint8Array): void {
    this.#sayGoodbye(payload);
    this.#stream.end();
  }

  failed(code: number): void {
    this.close(code, "");
    this.#stream.end();
  }

  /** Sends a close frame, unless one was sent, and waits for the other side's. */
  #sayGoodbye(payload: Uint8Array): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#stream.write(frameOf(CLOSE, payload));
    this.#cancelCut = this.#host.clock.after(CLOSING_MS, () => this.terminate());
  }

  #over(): void {
    this.#closing = true;
    this.#cancelCut?.();
    this.authenticated();
    this.#host.parted(this);
    this.#events?.closed();
    this.#events = undefined;
  }
}
