/** Accepts WebSockets on `Bun.serve`. */
import { CLOSES } from "@todoku/protocol";
import type { Clock } from "../../clock.ts";
import type { Handshake, Payload, Socket, SocketEvents } from "../socket.ts";
import { Admission, Refused, type Admitted, type UpgradeRequest } from "./admission.ts";
import type { BunHttpServer, BunWebSocket, BunWebSocketHandlers } from "./bun-runtime.ts";
import type { Acceptor, Listener, ListenerOptions } from "./listener.ts";

/** A client that is closed while bytes wait for it has so long to take them, as with the package `ws`. */
const CLOSING_MS = 30_000;
/** Smaller frames grow by compression, or hardly shrink. The package `ws` has the same bound. */
const WORTH_COMPRESSING = 1024;

export class BunListener implements Listener {
  readonly handlers: BunWebSocketHandlers<BunSocket>;
  readonly path: string;
  readonly #admission: Admission;
  readonly #clock: Clock;
  readonly #open = new Set<BunSocket>();
  #whenEmpty: (() => void)[] = [];

  constructor(acceptor: Acceptor, options: ListenerOptions) {
    const { path, clock, frameBytes, compression } = options;
    this.path = path;
    this.#clock = clock;
    this.#admission = new Admission(acceptor, options);
    this.handlers = {
      maxPayloadLength: frameBytes,
      // The outbox bounds what waits, and what was handed over is never dropped.
      backpressureLimit: 0,
      // The gateway's own pings find the dead.
      idleTimeout: 0,
      perMessageDeflate: compression,
      open: (webSocket) => {
        this.#open.add(webSocket.data);
        webSocket.data.open(webSocket, acceptor);
      },
      message: ({ data: socket }, message) => socket.received(message),
      drain: ({ data: socket }) => socket.drained(),
      close: ({ data: socket }) => this.#ended(socket),
    };
  }

  /** Answers an upgrade; undefined when the connection is a WebSocket now. */
  upgrade(asking: UpgradeRequest, request: Request, server: BunHttpServer<BunSocket>): Response | undefined {
    const asked = this.#admission.ask(asking);
    if (asked instanceof Refused) return refusal(asked);
    const socket = new BunSocket(asked, this.#clock);
    if (server.upgrade(request, { data: socket })) return undefined;
    asked.release();
    return refusal(new Refused(400, { code: CLOSES.badRequest.code, message: "this is no WebSocket handshake" }));
  }

  refuseAll(): void {
    this.#admission.refuseAll();
  }

  async closed(ms: number): Promise<void> {
    this.refuseAll();
    if (this.#open.size === 0) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(ms, () => {
        for (const socket of this.#open) socket.terminate();
      });
      this.#whenEmpty.push(() => {
        cancel();
        resolve();
      });
    });
  }

  #ended(socket: BunSocket): void {
    this.#open.delete(socket);
    socket.ended();
    if (this.#open.size === 0) for (const empty of this.#whenEmpty.splice(0)) empty();
  }
}

export class BunSocket implements Socket {
  readonly #clock: Clock;
  /** Gives the place among the unauthenticated back. */
  #release: (() => void) | undefined;
  #handshake: Handshake | undefined;
  #webSocket: BunWebSocket<BunSocket> | undefined;
  #events: SocketEvents | undefined;
  /** Bytes wait in the socket, or did when it was last looked at. */
  #pressed = false;
  /** `close` was called; what waits is sent first. */
  #closing: { readonly code: number; readonly reason: string; readonly cancel: () => void } | undefined;

  constructor({ handshake, release }: Admitted, clock: Clock) {
    this.#handshake = handshake;
    this.#release = release;
    this.#clock = clock;
  }

  // ── for the gateway ────────────────────────────────────────────────────────

  get bufferedBytes(): number {
    return this.#pressed ? (this.#webSocket?.getBufferedAmount() ?? 0) : 0;
  }

  send({ text, size }: Payload): void {
    if (this.#closing) return;
    const sent = this.#webSocket?.sendText(text, size >= WORTH_COMPRESSING);
    if (sent === -1) this.#pressed = true;
  }

  authenticated(): void {
    this.#release?.();
    this.#release = undefined;
  }

  close(code: number, reason: string): void {
    if (this.#closing) return;
    if (this.bufferedBytes === 0) {
      this.#closing = { code, reason, cancel: () => {} };
      this.#webSocket?.close(code, reason);
    } else {
      // Bun closes at once, and gives what waits four seconds without telling when it has left.
      this.#closing = { code, reason, cancel: this.#clock.after(CLOSING_MS, () => this.terminate()) };
    }
  }

  terminate(): void {
    this.#webSocket?.terminate();
  }

  // ── from Bun ───────────────────────────────────────────────────────────────

  open(webSocket: BunWebSocket<BunSocket>, acceptor: Acceptor): void {
    const handshake = this.#handshake;
    if (!handshake) return;
    this.#handshake = undefined;
    this.#webSocket = webSocket;
    this.#events = acceptor.accept(this, handshake);
  }

  received(message: string | Uint8Array): void {
    if (typeof message === "string") this.#events?.message(message);
    else this.close(CLOSES.badRequest.code, "bad request: binary frames are not spoken here");
  }

  drained(): void {
    if (this.bufferedBytes > 0) return;
    this.#pressed = false;
    if (this.#closing) this.#webSocket?.close(this.#closing.code, this.#closing.reason);
    else this.#events?.drained();
  }

  ended(): void {
    const events = this.#events;
    this.authenticated();
    this.#closing?.cancel();
    this.#webSocket = undefined;
    this.#events = undefined;
    // Not within the call of `close` that led here.
    queueMicrotask(() => events?.closed());
  }
}

function refusal({ status, body }: Refused): Response {
  return new Response(body, { status, headers: { "content-type": "application/json", connection: "close" } });
}
