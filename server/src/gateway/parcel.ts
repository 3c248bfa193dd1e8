const NEWLINE = 0x0a;

/**
 * Frames that leave a connection together, as one. Connections that are sent the same frames in the same order hold the same
 * parcel: adding a frame makes nothing for all but the first of them, and the bytes are joined once for all.
 */
export class Parcel {
  /** Of all frames, with what stands between them. */
  readonly size: number;
  readonly #before: Parcel | undefined;
  readonly #frame: Uint8Array;
  /** What became of this parcel when a frame was last added to it. */
  #grown: Parcel | undefined;
  #bytes: Uint8Array | undefined;

  /** The frame is shared: never alter it. */
  constructor(frame: Uint8Array, before?: Parcel) {
    this.size = before === undefined ? frame.length : before.size + 1 + frame.length;
    this.#before = before;
    this.#frame = frame;
  }

  isOnly(frame: Uint8Array): boolean {
    return this.#frame === frame && this.#before === undefined;
  }

  with(frame: Uint8Array): Parcel {
    const grown = this.#grown;
    if (grown !== undefined && grown.#frame === frame) return grown;
    return (this.#grown = new Parcel(frame, this));
  }

  /** The frames, a newline between. A single one is not copied. */
  get bytes(): Uint8Array {
    return (this.#bytes ??= this.#before === undefined ? this.#frame : this.#join());
  }

  #join(): Uint8Array {
    const joined = new Uint8Array(this.size);
    let begin = joined.length - this.#frame.length;
    joined.set(this.#frame, begin);
    for (let before = this.#before; before !== undefined; before = before.#before) {
      joined[--begin] = NEWLINE;
      begin -= before.#frame.length;
      joined.set(before.#frame, begin);
    }
    return joined;
  }
}
