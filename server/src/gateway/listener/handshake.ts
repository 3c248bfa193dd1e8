/** The opening of a WebSocket, as a server sees it: an HTTP request that asks for it, and the answer. Source: RFC 6455, section 4.2. */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";

const MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const VERSION = "13";
/** Sixteen bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;
const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/;

/** Why there is no WebSocket for this request. */
export interface Refusal {
  readonly status: number;
  readonly message: string;
  readonly headers?: string;
}

/** The whole answer that opens the WebSocket, or why not. No extension is agreed on, and the first subprotocol that is offered. */
export function answerHandshake({ method, headers }: IncomingMessage): string | Refusal {
  const key = headers["sec-websocket-key"] ?? "";
  if (method !== "GET") return { status: 405, message: "a WebSocket is asked for with GET" };
  if (headers.upgrade?.toLowerCase() !== "websocket") return { status: 400, message: "Upgrade: websocket is missing" };
  if (!KEY.test(key)) return { status: 400, message: "Sec-WebSocket-Key is missing or is not sixteen bytes in base64" };
  if (headers["sec-websocket-version"] !== VERSION) {
    const message = `Sec-WebSocket-Version must be ${VERSION}`;
    return { status: 426, message, headers: `Sec-WebSocket-Version: ${VERSION}\r\n` };
  }
  const [protocol = ""] = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  if (protocol !== "" && !TOKEN.test(protocol)) return { status: 400, message: "Sec-WebSocket-Protocol is malformed" };
  const accept = createHash("sha1")
    .update(key + MAGIC)
    .digest("base64");
  return (
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n` +
    `${protocol === "" ? "" : `Sec-WebSocket-Protocol: ${protocol}\r\n`}\r\n`
  );
}
