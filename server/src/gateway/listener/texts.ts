/** The text of a frame, decoded once for all connections that are sent it one after the other. */
export class Texts {
  readonly #decoder = new TextDecoder();
  #frame: Uint8Array | undefined;
  #text = "";

  of(frame: Uint8Array): string {
    if (frame !== this.#frame) {
      this.#frame = frame;
      this.#text = this.#decoder.decode(frame);
    }
    return this.#text;
  }
}
