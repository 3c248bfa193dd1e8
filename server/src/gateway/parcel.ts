import type { Payload } from "./socket.ts";

const NEWLINE = 0x0a;

/** One reply or push: bytes that others are sent as well, or a text for one connection, which is encoded where it is sent from. */
export type Frame = Uint8Array | string;

/**
 * Frames that leave a connection together, as one. Connections that are sent the same frames in the same order hold the same
 * parcel: adding a frame makes nothing for all but the first of them, and the bytes are joined once for all.
 */
export class Parcel implements Payload {
  /** Of all frames, with what stands between them. */
  readonly size: number;
  /** How many. */
  readonly frames: number;
  readonly #before: Parcel | undefined;
  readonly #frame: Frame;
  /** What became of this parcel when a frame was last added to it. */
  #grown: Parcel | undefined;
  #bytes: Uint8Array | undefined;

  /** The frame is shared: never alter it. */
  constructor(frame: Frame, before?: Parcel) {
    const size = typeof frame === "string" ? Buffer.byteLength(frame) : frame.length;
    this.size = before === undefined ? size : before.size + 1 + size;
    this.frames = before === undefined ? 1 : before.frames + 1;
    this.#before = before;
    this.#frame = frame;
  }

  isOnly(frame: Frame): boolean {
    return this.#frame === frame && this.#before === undefined;
  }

  with(frame: Frame): Parcel {
    const grown = this.#grown;
    if (grown !== undefined && grown.#frame === frame) return grown;
    return (this.#grown = new Parcel(frame, this));
  }

  /** The frames, a newline between. A single one of bytes is not copied. */
  get bytes(): Uint8Array {
    return (this.#bytes ??= this.#before === undefined && typeof this.#frame !== "string" ? this.#frame : this.#join());
  }

  writeTo(target: Buffer, at: number): void {
    Parcel.#write(this, target, at);
  }

  /** From the last frame to the first: that is how they hang together. */
  static #write(last: Parcel, target: Buffer, at: number): void {
    let end = at + last.size;
    for (let parcel: Parcel | undefined = last; parcel !== undefined; parcel = parcel.#before) {
      const begin = at + (parcel.#before === undefined ? 0 : parcel.#before.size + 1);
      if (typeof parcel.#frame === "string") target.write(parcel.#frame, begin, end - begin);
      else target.set(parcel.#frame, begin);
      end = begin - 1;
      if (parcel.#before !== undefined) target[end] = NEWLINE;
    }
  }

  #join(): Uint8Array {
    const joined = Buffer.allocUnsafe(this.size);
    this.writeTo(joined, 0);
    return joined;
  }
}
