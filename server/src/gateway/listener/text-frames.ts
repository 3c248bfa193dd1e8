/**
 * The WebSocket frame around a payload. A server's frames are not masked, so that one payload's frame is the same for every
 * connection: it is made once, for all that are sent it one after the other.
 *
 * Source: RFC 6455, section 5.2.
 */
export class TextFrames {
  #payload: Uint8Array | undefined;
  #frame: Uint8Array = new Uint8Array();

  /** A whole, final text frame. The bytes may be shared: never alter them. */
  of(payload: Uint8Array): Uint8Array {
    if (payload !== this.#payload) {
      this.#payload = payload;
      this.#frame = frameOf(TEXT, payload);
    }
    return this.#frame;
  }
}

const FINAL = 0x80;
const TEXT = 0x1;
const LENGTH_16 = 126;
const LENGTH_64 = 127;

/** A whole, final frame of a server. */
export function frameOf(opcode: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const head = length < LENGTH_16 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(head + length);
  frame[0] = FINAL | opcode;
  if (head === 2) {
    frame[1] = length;
  } else if (head === 4) {
    frame[1] = LENGTH_16;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = LENGTH_64;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame.set(payload, head);
  return frame;
}
