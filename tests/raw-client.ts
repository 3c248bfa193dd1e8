/**
 * A WebSocket client on a bare TCP socket, with as little work per frame as possible: it can stop reading, which no real
 * client offers, and a load generator made of it is not the bottleneck.
 */
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";

const TEXT = 0x1;
const CLOSE = 0x8;
const FINAL = 0x80;
const MASKED = 0x80;
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
    this.#socket.write(frameOf(commands.map((command) => JSON.stringify(command)).join("\n")));
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
      const frame = readFrame(bytes, at);
      if (!frame) break;
      at = frame.end;
      if (frame.opcode === TEXT) this.onText(bytes.subarray(frame.begin, frame.end));
      else if (frame.opcode === CLOSE) this.#end(bytes.subarray(frame.begin, frame.end));
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
  const key = randomBytes(16).toString("base64");
  socket.write(
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13${END_OF_HEAD}`,
  );
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

interface Frame {
  readonly opcode: number;
  readonly begin: number;
  readonly end: number;
}

/** The frame that begins at `at`, if all of it is there. The server neither masks nor splits its frames. */
function readFrame(bytes: Buffer, at: number): Frame | undefined {
  if (bytes.length < at + 2) return undefined;
  const opcode = bytes.readUInt8(at) & 0x0f;
  const short = bytes.readUInt8(at + 1);
  const begin = at + (short < 126 ? 2 : short === 126 ? 4 : 10);
  if (bytes.length < begin) return undefined;
  const length =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
  const end = begin + length;
  return bytes.length < end ? undefined : { opcode, begin, end };
}

/** A masked text frame. The mask is zero: nothing between here and the server could be confused by the text. */
export function frameOf(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const header = length < 126 ? 6 : length < 65_536 ? 8 : 14;
  const frame = Buffer.alloc(header + length);
  frame.writeUInt8(FINAL | TEXT, 0);
  if (length < 126) {
    frame.writeUInt8(MASKED | length, 1);
  } else if (length < 65_536) {
    frame.writeUInt8(MASKED | 126, 1);
    frame.writeUInt16BE(length, 2);
  } else {
    frame.writeUInt8(MASKED | 127, 1);
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame.write(text, header);
  return frame;
}
