/**
 * What a client sends, out of whatever pieces the network makes of it: frames that are masked, fragments of messages with
 * control frames between. Nothing is kept but the beginning of a frame and of a message, and never more than the limit.
 *
 * Source: RFC 6455, sections 5 and 8.1. Extensions are not spoken.
 */
import { isUtf8 } from "node:buffer";

/** What a reader tells. After `closing` or `failed` it tells nothing more. */
export interface FrameEvents {
  /** One whole text message. */
  text(text: string): void;
  /** One whole binary message. */
  binary(): void;
  /** To be answered with the same payload, which is only good until this returns. */
  ping(payload: Uint8Array): void;
  /** The payload of a valid close frame: nothing, or a code and a reason. */
  closing(payload: Uint8Array): void;
  /** The client breaks the protocol, or sends too much: to be closed with this code. */
  failed(code: number): void;
}

export const CLOSE = 0x8;
export const PONG = 0xa;
const CONTINUATION = 0x0;
const BINARY = 0x2;
const PING = 0x9;
const FINAL = 0x80;
const RESERVED = 0x70;
const MASKED = 0x80;
const LENGTH_16 = 126;
const LENGTH_64 = 127;
const LONGEST_CONTROL = 125;
const MASK_BYTES = 4;

const PROTOCOL_ERROR = 1002;
const INVALID_PAYLOAD = 1007;
const TOO_LARGE = 1009;

export class FrameReader {
  readonly #events: FrameEvents;
  readonly #limit: number;
  /** A frame that is not whole yet. */
  #rest: GatheredBytes | undefined;
  /** The fragments so far of a message that is not whole yet, and whether it is text or binary. */
  #fragments: GatheredBytes | undefined;
  #fragmented = CONTINUATION;
  #over = false;

  /** `limit`: most bytes of a message, in however many fragments it comes. */
  constructor(events: FrameEvents, limit: number) {
    this.#events = events;
    this.#limit = limit;
  }

  /** The chunk is the reader's from now on: it is unmasked in place. */
  read(chunk: Buffer): void {
    if (this.#over) return;
    const bytes = this.#rest?.with(chunk) ?? chunk;
    let at = 0;
    for (let end = this.#frame(bytes, at); end > at; end = this.#frame(bytes, at)) at = end;
    if (this.#over || at === bytes.length) this.#rest = undefined;
    // What was gathered stays where it is until its frame is whole.
    else if (at > 0 || this.#rest === undefined) this.#rest = new GatheredBytes(bytes.subarray(at));
  }

  /** Reads the frame that begins at `at` and returns its end; `at` itself if it is not whole yet, or never will be. */
  #frame(bytes: Buffer, at: number): number {
    const there = bytes.length - at;
    if (this.#over || there < 2) return at;
    const first = bytes.readUInt8(at);
    const second = bytes.readUInt8(at + 1);
    if (this.#isBroken(first, second)) return this.#fail(PROTOCOL_ERROR, at);
    const opcode = first & 0x0f;
    let length = second & 0x7f;
    let mask = at + 2;
    if (length === LENGTH_16) {
      if (there < 4) return at;
      length = bytes.readUInt16BE(mask);
      mask += 2;
    } else if (length === LENGTH_64) {
      if (there < 10) return at;
      length = bytes.readUInt32BE(mask) * 2 ** 32 + bytes.readUInt32BE(mask + 4);
      mask += 8;
    }
    const before = this.#fragments?.length ?? 0;
    if (opcode < CLOSE && before + length > this.#limit) return this.#fail(TOO_LARGE, at);
    const begin = mask + MASK_BYTES;
    const end = begin + length;
    if (end > bytes.length) return at;
    unmask(bytes, mask, begin, end);
    this.#take(opcode, (first & FINAL) !== 0, bytes.subarray(begin, end));
    return end;
  }

  #isBroken(first: number, second: number): boolean {
    const opcode = first & 0x0f;
    if ((first & RESERVED) !== 0 || (second & MASKED) === 0) return true;
    if (opcode >= CLOSE) return opcode > PONG || (first & FINAL) === 0 || (second & 0x7f) > LONGEST_CONTROL;
    // A message goes on exactly when one was begun.
    return opcode > BINARY || (opcode === CONTINUATION) !== (this.#fragmented !== CONTINUATION);
  }

  #take(opcode: number, final: boolean, payload: Buffer): void {
    if (opcode === PING) return this.#events.ping(payload);
    if (opcode === CLOSE) return this.#close(payload);
    if (opcode === PONG) return;
    if (!final) {
      if (opcode !== CONTINUATION) this.#fragmented = opcode;
      if (this.#fragments) this.#fragments.with(payload);
      else this.#fragments = new GatheredBytes(payload);
      return;
    }
    if (opcode !== CONTINUATION) return this.#message(opcode, payload);
    const whole = this.#fragments?.with(payload) ?? payload;
    const kind = this.#fragmented;
    this.#fragments = undefined;
    this.#fragmented = CONTINUATION;
    this.#message(kind, whole);
  }

  #message(kind: number, payload: Buffer): void {
    if (kind === BINARY) this.#events.binary();
    else if (isUtf8(payload)) this.#events.text(payload.toString());
    else this.#fail(INVALID_PAYLOAD);
  }

  #close(payload: Buffer): void {
    if (payload.length > 0 && (payload.length < 2 || !isCloseCode(payload.readUInt16BE(0)))) this.#fail(PROTOCOL_ERROR);
    else if (!isUtf8(payload.subarray(2))) this.#fail(INVALID_PAYLOAD);
    else {
      this.#over = true;
      this.#events.closing(payload);
    }
  }

  #fail(code: number, at = 0): number {
    this.#over = true;
    this.#events.failed(code);
    return at;
  }
}

/** Bytes of which more come, in however small pieces: each is copied about twice at most, and pins nothing. */
class GatheredBytes {
  #bytes: Buffer;
  length: number;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
    this.length = bytes.length;
  }

  /** Adds to what is there. Returns all of it, good until more is added. */
  with(more: Uint8Array): Buffer {
    const length = this.length + more.length;
    if (length > this.#bytes.length) {
      const grown = Buffer.allocUnsafeSlow(2 * length);
      this.#bytes.copy(grown, 0, 0, this.length);
      this.#bytes = grown;
    }
    this.#bytes.set(more, this.length);
    this.length = length;
    return this.#bytes.subarray(0, length);
  }
}

function unmask(bytes: Buffer, mask: number, begin: number, end: number): void {
  const key = bytes.readUInt32LE(mask);
  if (key === 0) return;
  // What is stored is the lowest byte of it.
  for (let at = begin; at < end; at++) bytes[at] = (bytes[at] ?? 0) ^ (key >>> (8 * ((at - begin) & 3)));
}

/** Codes that may be sent: RFC 6455, section 7.4, and those registered since. */
function isCloseCode(code: number): boolean {
  return (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
}
