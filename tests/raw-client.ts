/**
 * A WebSocket client on a bare TCP socket, with as little work per frame as possible: it can stop reading, which no real
 * client offers, and a load generator made of it is not the bottleneck.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { clientFrame, frameAt, handshake, OPCODE } from "../server/src/load/web-socket-frames.ts";

const END_OF_HEAD = "\r\n\r\n";

/** Why the server closed. */
export interface Closed {
  /** Of the close frame; 1006 without one. */
  readonly code: number;
  readonly reason: string;
}

export class RawClient {
  /** Resolves when the connection is over. */
  readonly closed: Promise<Closed>;
  /** Given each text frame; the bytes are only good until it returns. */
  onText: (payload: Buffer) => void = () => {};
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  #closed: Closed = { code: 1006, reason: "" };

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => socket.once("close", () => resolve(this.#closed)));
  }

  /** Connects and shakes hands. Rejects when the server refuses. */
  static async open(port: number): Promise<RawClient> {
    const { socket, rest } = await shakeHands(port);
    const client = new RawClient(socket);
    client.#rest = rest;
    socket.on("data", (chunk: Buffer) => client.#take(chunk));
    socket.on("error", () => socket.destroy());
    return client;
  }

  /** Opens, and connects in the protocol; resolves when the server has accepted. */
  static async connect(port: number, request: object = {}): Promise<RawClient> {
    const client = await RawClient.open(port);
    const reply = client.next();
    client.send({ id: 1, connect: { todoku: { version: 1 }, ...request } });
    const text = await reply;
    if (!text.includes('"connect"')) throw new Error(`refused: ${text}`);
    return client;
  }

  /** Sends commands in one frame. */
  send(...commands: readonly object[]): void {
    this.#socket.write(clientFrame(commands.map((command) => JSON.stringify(command)).join("\n")));
  }

  /** The next text frame, in place of `onText`. */
  next(): Promise<string> {
    const before = this.onText;
    return new Promise((resolve) => {
      this.onText = (payload) => {
        this.onText = before;
        resolve(payload.toString());
      };
    });
  }

  /** Stops reading: what the server sends fills the buffers of the system, and then the server's. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Ends the connection without a word. */
  terminate(): void {
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let at = 0;
    for (;;) {
      const frame = frameAt(bytes, at, bytes.length);
      if (!frame) break;
      at = frame.end;
      if (frame.opcode === OPCODE.text) this.onText(bytes.subarray(frame.begin, frame.end));
      else if (frame.opcode === OPCODE.close) this.#end(bytes.subarray(frame.begin, frame.end));
    }
    this.#rest = at === bytes.length ? Buffer.alloc(0) : bytes.subarray(at);
  }

  #end(payload: Buffer): void {
    if (payload.length >= 2) this.#closed = { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() };
    this.#socket.end();
  }
}

/** A TCP connection on which the WebSocket protocol is spoken, and what the server has said already. */
export async function shakeHands(
  port: number,
  path = "/connection/websocket",
): Promise<{ readonly socket: Socket; readonly rest: Buffer }> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  socket.write(handshake(`127.0.0.1:${port}`, path));
  return { socket, rest: await answered(socket) };
}

/** Waits for the server's answer to the upgrade; resolves with what came behind it. */
async function answered(socket: Socket): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  for (;;) {
    const [chunk] = (await once(socket, "data")) as [Buffer];
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf(END_OF_HEAD);
    if (end === -1) continue;
    const status = head.subarray(0, head.indexOf("\r\n")).toString();
    if (!status.includes(" 101 ")) throw new Error(`the server refused the WebSocket: ${status}`);
    return head.subarray(end + END_OF_HEAD.length);
  }
}
