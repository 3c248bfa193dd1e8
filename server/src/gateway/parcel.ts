import type { Payload } from "./socket.ts";

const NEWLINE = 0x0a;

/**
 * One reply or push, or several that leave a connection together, as one. Connections that are sent the same frames in the same order
 * hold the same parcel: adding a frame makes nothing for all but the first of them, and what is sent is put together once for all.
 */
export class Parcel implements Payload {
  /** Of all frames, with what stands between them. */
  readonly size: number;
  /** How many there are. */
  readonly frames: number;
  /** The last frame. */
  readonly #frame: string;
  readonly #before: Parcel | undefined;
  /** What became of this parcel when a frame was last added to it. */
  #grown: Parcel | undefined;
  #text: string | undefined;
  #bytes: Uint8Array | undefined;

  constructor(frame: string, size: number = Buffer.byteLength(frame), before?: Parcel) {
    this.size = before === undefined ? size : before.size + 1 + size;
    this.frames = before === undefined ? 1 : before.frames + 1;
    this.#frame = frame;
    this.#before = before;
  }

  /** This one, and behind it another that is a single frame. */
  with(one: Parcel): Parcel {
    const grown = this.#grown;
    if (grown !== undefined && grown.#frame === one.#frame) return grown;
    return (this.#grown = new Parcel(one.#frame, one.size, this));
  }

  /** The frames, a newline between. */
  get text(): string {
    return this.#before === undefined ? this.#frame : (this.#text ??= Parcel.#join(this));
  }

  get bytes(): Uint8Array {
    return (this.#bytes ??= Buffer.from(this.text));
  }

  writeTo(target: Buffer, at: number): void {
    Parcel.#write(this, target, at);
  }

  // From the last frame to the first: that is how they hang together.

  static #write(last: Parcel, target: Buffer, at: number): void {
    let end = at + last.size;
    for (let parcel: Parcel | undefined = last; parcel !== undefined; parcel = parcel.#before) {
      const begin = at + (parcel.#before === undefined ? 0 : parcel.#before.size + 1);
      target.write(parcel.#frame, begin, end - begin);
      end = begin - 1;
      if (parcel.#before !== undefined) target[end] = NEWLINE;
    }
  }

  static #join(last: Parcel): string {
    const frames: string[] = [];
    for (let parcel: Parcel | undefined = last; parcel !== undefined; parcel = parcel.#before)
      frames.push(parcel.#frame);
    return frames.reverse().join("\n");
  }
}
