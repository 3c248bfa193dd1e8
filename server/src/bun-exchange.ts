/** A request of `Bun.serve` and its answer, dressed as the handlers expect them. */
import type { IncomingHttpHeaders } from "node:http";
import type { BunRequest } from "./gateway/listener/bun-runtime.ts";
import type { HttpRequest, HttpResponse } from "./http-exchange.ts";

type Listeners = { data?: (chunk: Buffer) => void } & { [event in "end" | "error" | "close"]?: () => void };

export class BunHttpRequest implements HttpRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress: string };
  readonly #request: BunRequest;
  readonly #listeners: Listeners = {};

  constructor(request: BunRequest, remoteAddress: string) {
    this.#request = request;
    this.method = request.method;
    this.url = pathAndQuery(request.url);
    this.headers = request.headers.toJSON();
    this.socket = { remoteAddress };
  }

  get readableEnded(): boolean {
    return this.#request.bodyUsed;
  }

  on(...[event, listener]: ["data", (chunk: Buffer) => void] | ["end" | "error" | "close", () => void]): void {
    if (event === "data") {
      this.#listeners.data = listener;
      void this.#read();
    } else {
      this.#listeners[event] = listener;
    }
  }

  /** Bun drops what nobody reads. */
  resume(): void {}

  async #read(): Promise<void> {
    try {
      if (this.headers["content-length"] !== undefined) {
        this.#listeners.data?.(Buffer.from(await this.#request.arrayBuffer()));
      } else {
        // Nobody knows how much will come.
        for await (const chunk of this.#request.body ?? []) this.#listeners.data?.(Buffer.from(chunk));
      }
      this.#listeners.end?.();
    } catch {
      this.#listeners.error?.();
    }
    this.#listeners.close?.();
  }
}

export class BunHttpResponse implements HttpResponse {
  /** What Bun is given to send, once `end` was called. */
  readonly sent: Promise<Response>;
  headersSent = false;
  readonly #send: (response: Response) => void;
  readonly #headers: Record<string, string> = {};
  #status = 200;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<Response>();
    this.sent = promise;
    this.#send = resolve;
  }

  setHeader(name: string, value: string): void {
    this.#headers[name] = value;
  }

  writeHead(status: number, headers: Readonly<Record<string, string | number>>): void {
    this.#status = status;
    for (const [name, value] of Object.entries(headers)) {
      // Bun counts for itself.
      if (name !== "content-length") this.#headers[name] = String(value);
    }
  }

  end(body?: string | Uint8Array<ArrayBuffer>): void {
    this.headersSent = true;
    this.#send(new Response(body, { status: this.#status, headers: this.#headers }));
  }

  /** An answer here is sent whole, or not at all. */
  destroy(): void {}
}

/** `http://host/path?query` without what comes before the path. */
function pathAndQuery(url: string): string {
  const path = url.indexOf("/", url.indexOf("://") + 3);
  return path === -1 ? "/" : url.slice(path);
}
