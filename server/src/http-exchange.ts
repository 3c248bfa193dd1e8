/** A request and its answer as handlers see them, whichever runtime took them. Node's own objects are such. */
import type { IncomingHttpHeaders } from "node:http";

export interface HttpRequest {
  readonly method?: string | undefined;
  /** What stands in the request line: a path, mostly. */
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
  /** The body was read already. */
  readonly readableEnded: boolean;
  /** Listening to `data` begins to read the body. */
  on(event: "data", listener: (chunk: Buffer) => void): unknown;
  on(event: "end" | "error" | "close", listener: () => void): unknown;
  /** Reads the body and drops it. */
  resume(): unknown;
}

export interface HttpResponse {
  readonly headersSent: boolean;
  setHeader(name: string, value: string): unknown;
  writeHead(status: number, headers: Readonly<Record<string, string | number>>): unknown;
  end(body?: string | Uint8Array): unknown;
  /** Cuts an answer that cannot be finished. */
  destroy(): unknown;
}
