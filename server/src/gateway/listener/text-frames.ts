/**
 * The WebSocket frame around a payload. A server's frames are not masked, so that one payload's frame is the same for every
 * connection: it is made once, for all that are sent it one after the other.
 *
 * Source: RFC 6455, section 5.2.
 */
import type { Payload } from "../socket.ts";

/**
 * Larger frames than the first, up to the second, are written into memory that is used again for the next. When thousands of
 * clients resume at once each is sent a large frame of its own, which the system takes at once; memory of its own for each was
 * garbage by the hundred megabytes, and what the C library had got for it from the system it did not give back.
 */
const SMALL_BYTES = 2048;
const LARGE_BYTES = 512 * 1024;

export class TextFrames {
  #payload: Payload | undefined;
  #frame: Buffer = Buffer.alloc(0);
  /** By the logarithm of their size. */
  readonly #pages: (Buffer | undefined)[] = [];

  /**
   * A whole, final text frame; never alter it. Another payload's may be written in its place, unless it is certain beforehand that
   * it is `toBeKept`, or told before the next call that it was `kept`.
   */
  of(payload: Payload, toBeKept: boolean): Buffer {
    if (payload === this.#payload) {
      if (toBeKept) this.kept();
      return this.#frame;
    }
    const { size } = payload;
    const begin = headOf(size);
    const frame = toBeKept ? Buffer.allocUnsafe(begin + size) : this.#room(begin + size);
    writeHead(frame, TEXT, size);
    payload.writeTo(frame, begin);
    this.#payload = payload;
    this.#frame = frame;
    return frame;
  }

  /** Somebody holds on to the frame that was made last: it stays as it is. */
  kept(): void {
    const page = pageOf(this.#frame.length);
    if (this.#pages[page]?.buffer === this.#frame.buffer) this.#pages[page] = undefined;
  }

  #room(size: number): Buffer {
    if (size <= SMALL_BYTES || size > LARGE_BYTES) return Buffer.allocUnsafe(size);
    const page = pageOf(size);
    return (this.#pages[page] ??= Buffer.allocUnsafeSlow(2 ** page)).subarray(0, size);
  }
}

function pageOf(size: number): number {
  return Math.ceil(Math.log2(size));
}

const FINAL = 0x80;
const TEXT = 0x1;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/** A whole, final frame of a server. */
export function frameOf(opcode: number, payload: Uint8Array): Buffer {
  const begin = headOf(payload.length);
  const frame = Buffer.allocUnsafe(begin + payload.length);
  writeHead(frame, opcode, payload.length);
  frame.set(payload, begin);
  return frame;
}

/** How many bytes stand before a payload of `size` bytes. */
function headOf(size: number): number {
  return size < LENGTH_16 ? 2 : size < 65_536 ? 4 : 10;
}

function writeHead(frame: Buffer, opcode: number, size: number): void {
  frame[0] = FINAL | opcode;
  if (size < LENGTH_16) {
    frame[1] = size;
  } else if (size < 65_536) {
    frame[1] = LENGTH_16;
    frame.writeUInt16BE(size, 2);
  } else {
    frame[1] = LENGTH_64;
    frame.writeBigUInt64BE(BigInt(size), 2);
  }
}
