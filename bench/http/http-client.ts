/** An HTTP client on a bare TCP socket: one request after the other on one connection, with hardly any work for the answer. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const END_OF_HEAD = "\r\n\r\n";
const OK = "HTTP/1.1 200 ";

export class HttpClient {
  /** Given the body of each answer; the bytes are only good until it returns. */
  onBody: (body: Buffer) => void = () => {};
  /** Told why there will be no more answers. */
  onEnd: (why: string) => void = () => {};
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", (error) => this.onEnd(error.message));
    socket.on("close", () => this.onEnd("the server closed the connection"));
  }

  static async connect(port: number): Promise<HttpClient> {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return new HttpClient(socket);
  }

  /** A whole request, head and body. */
  send(request: Buffer): void {
    this.#socket.write(request);
  }

  end(): void {
    this.onEnd = () => {};
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = bytes;
    const end = bytes.indexOf(END_OF_HEAD);
    if (end === -1) return;
    const head = bytes.toString("latin1", 0, end);
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (!head.startsWith(OK) || length === undefined) {
      this.#socket.destroy();
      return this.onEnd(head.slice(0, 200));
    }
    const begin = end + END_OF_HEAD.length;
    if (bytes.length < begin + Number(length)) return;
    // There is one request at a time, and so nothing behind the answer.
    this.#rest = Buffer.alloc(0);
    this.onBody(bytes.subarray(begin, begin + Number(length)));
  }
}

/** A request to publish, as a backend's HTTP client writes it. */
export function postOf(port: number, path: string, key: string, body: string): Buffer {
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-API-Key: ${key}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}${END_OF_HEAD}${body}`,
  );
}
