/** The commands of one connection that are run and not answered yet: what they hold, and the moment when there are none. */

/** Most of one connection at once. */
const MOST = 1000;

export class CommandsUnderWay {
  readonly #mostSize: number;
  #count = 0;
  #size = 0;
  #whenNone: (() => void)[] | undefined;

  /** They may hold `mostSize` UTF-16 units of their frames. */
  constructor(mostSize: number) {
    this.#mostSize = mostSize;
  }

  /** Whether one more may begin; a single one always may. */
  admits(size: number): boolean {
    return this.#count < MOST && (this.#count === 0 || this.#size + size <= this.#mostSize);
  }

  begin(size: number): void {
    this.#count++;
    this.#size += size;
  }

  end(size: number): void {
    this.#count--;
    this.#size -= size;
    if (this.#count > 0) return;
    const told = this.#whenNone;
    this.#whenNone = undefined;
    for (const none of told ?? []) none();
  }

  /** Resolves when none is under way. */
  none(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : new Promise((resolve) => (this.#whenNone ??= []).push(resolve));
  }
}
