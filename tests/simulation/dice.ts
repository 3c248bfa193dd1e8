/** Every choice of a simulated world comes from here: the same seed, the same choices. */
import { sequence } from "../../server/src/manual-clock.ts";

export class Dice {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = sequence(seed);
    // Neighbouring seeds give neighbouring first numbers.
    for (let i = 0; i < 4; i++) this.#next();
  }

  /** A number in [0, 1). */
  next(): number {
    return this.#next();
  }

  chance(probability: number): boolean {
    return this.#next() < probability;
  }

  /** A number in [least, most). */
  between(least: number, most: number): number {
    return least + this.#next() * (most - least);
  }

  /** An integer in [least, most]. */
  whole(least: number, most: number): number {
    return least + Math.floor(this.#next() * (most - least + 1));
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[Math.floor(this.#next() * choices.length)];
    if (choice === undefined) throw new Error("there is nothing to pick from");
    return choice;
  }

  /** Dice of their own for one part of the world, so that what one part throws does not shift the others. */
  split(): Dice {
    return new Dice(Math.floor(this.#next() * 4_294_967_296));
  }
}
