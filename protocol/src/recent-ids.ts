/**
 * The last few messages of a channel without a log. There no position shows that a message comes again: because a bus
 * repeats a frame, or because a client moved from one gateway to another that is a little behind.
 */

/** A repeat comes soon after the first, or not at all. */
const REMEMBERED = 64;

export class RecentIds {
  readonly #ids = new Set<string>();

  /** Whether the message is new; from now on it is not. */
  admit(id: string): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > REMEMBERED) this.#forgetOldest();
    return true;
  }

  #forgetOldest(): void {
    for (const oldest of this.#ids) {
      this.#ids.delete(oldest);
      return;
    }
  }
}
