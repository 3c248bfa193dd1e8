/** What is used of Bun, in types of our own: Bun's would replace those of Node in the whole program. */

export interface BunRuntime {
  readonly version: string;
  /** Listens at once. @throws Error with a `code`, such as EADDRINUSE. */
  serve<Data>(options: BunServeOptions<Data>): BunHttpServer<Data>;
}

export interface BunServeOptions<Data> {
  readonly hostname: string;
  readonly port: number;
  readonly reusePort: boolean;
  readonly tls?: { readonly cert: Uint8Array; readonly key: Uint8Array };
  readonly development: boolean;
  /** Bytes; a larger body is answered 413 before `fetch` is called. */
  readonly maxRequestBodySize: number;
  /** Seconds for the head of a request, for the next one on a connection, and for each stretch of a body. */
  readonly idleTimeout: number;
  fetch(request: BunRequest, server: BunHttpServer<Data>): Response | undefined | Promise<Response | undefined>;
  error(error: Error): Response;
  readonly websocket?: BunWebSocketHandlers<Data>;
}

export interface BunRequest extends Request {
  readonly headers: Headers & { toJSON(): Record<string, string> };
}

export interface BunHttpServer<Data> {
  readonly port: number;
  /** Answers an upgrade, and calls `open`. False where the request is none, or was broken off. */
  upgrade(request: Request, options: { readonly data: Data }): boolean;
  requestIP(request: Request): { readonly address: string } | null;
  /** Seconds for what is left of this request; 0: no limit. */
  timeout(request: Request, seconds: number): void;
  /** Accepts nothing more. Resolves when no request is under way and no WebSocket is open; with `true` it cuts them. */
  stop(cut?: boolean): Promise<void>;
}

export interface BunWebSocketHandlers<Data> {
  /** Bytes of a whole message, unfolded if it was compressed. */
  readonly maxPayloadLength: number;
  /** Bytes that may wait in a socket before messages are dropped; 0: never. */
  readonly backpressureLimit: number;
  /** Seconds; 0: none. */
  readonly idleTimeout: number;
  readonly perMessageDeflate: boolean;
  open(socket: BunWebSocket<Data>): void;
  message(socket: BunWebSocket<Data>, message: string | Uint8Array): void;
  /** The system takes bytes again: some of those that wait have left, or all. */
  drain(socket: BunWebSocket<Data>): void;
  /** Called within `close` and `terminate` where this side ends the connection. */
  close(socket: BunWebSocket<Data>): void;
}

export interface BunWebSocket<Data> {
  readonly data: Data;
  /** Answers -1 where bytes wait that the system has not taken. */
  sendText(text: string, compress: boolean): number;
  getBufferedAmount(): number;
  close(code: number, reason: string): void;
  terminate(): void;
}

/** Absent on every other runtime. */
export function bunRuntime(): BunRuntime | undefined {
  return (globalThis as { readonly Bun?: BunRuntime }).Bun;
}
