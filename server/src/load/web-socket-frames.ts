/** WebSocket frames of a client, as bytes. */
import { randomBytes } from "node:crypto";

const FINAL = 0x80;
const MASKED = 0x80;

export const OPCODE = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;

/** Longest head of a frame from a server. */
const LONGEST_HEAD = 10;

/** A masked frame. The mask is zero: nothing between here and the server could be confused by what a measurement says. */
export function clientFrame(payload: string | Buffer, opcode: number = OPCODE.text): Buffer {
  const length = Buffer.byteLength(payload);
  const header = length < 126 ? 6 : length < 65_536 ? 8 : 14;
  const frame = Buffer.alloc(header + length);
  frame.writeUInt8(FINAL | opcode, 0);
  if (length < 126) {
    frame.writeUInt8(MASKED | length, 1);
  } else if (length < 65_536) {
    frame.writeUInt8(MASKED | 126, 1);
    frame.writeUInt16BE(length, 2);
  } else {
    frame.writeUInt8(MASKED | 127, 1);
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  if (typeof payload === "string") frame.write(payload, header);
  else payload.copy(frame, header);
  return frame;
}

export interface FrameSpan {
  readonly opcode: number;
  /** Of the payload. */
  readonly begin: number;
  readonly end: number;
}

/** The frame that begins at `at`, if all of it is before `length`. A server does not mask. */
export function frameAt(bytes: Buffer, at: number, length: number): FrameSpan | undefined {
  if (length < at + 2) return undefined;
  const short = bytes.readUInt8(at + 1) & 0x7f;
  const begin = at + (short < 126 ? 2 : short === 126 ? 4 : LONGEST_HEAD);
  if (length < begin) return undefined;
  const size = short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
  const end = begin + size;
  return length < end ? undefined : { opcode: bytes.readUInt8(at) & 0x0f, begin, end };
}

export function handshake(host: string, path: string): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\nSec-WebSocket-Version: 13\r\n\r\n`
  );
}
