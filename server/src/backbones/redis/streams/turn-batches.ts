/** Gathers what one turn of the event loop asks for the same thing, so that one script does all of it. */

interface Asked<Item, Answer> {
  readonly item: Item;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** In one script, so that it stays short. */
const MOST = 100;

export class TurnBatches<Item, Answer> {
  readonly #send: (key: string, items: readonly Item[]) => Promise<readonly Answer[]>;
  readonly #waiting = new Map<string, Asked<Item, Answer>[]>();

  /** `send` answers all items, in their order, or fails for all. */
  constructor(send: (key: string, items: readonly Item[]) => Promise<readonly Answer[]>) {
    this.#send = send;
  }

  ask(key: string, item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = { item, resolve, reject };
      const waiting = this.#waiting.get(key);
      if (waiting) return waiting.push(asked);
      this.#waiting.set(key, [asked]);
      return queueMicrotask(() => this.#flush(key));
    });
  }

  #flush(key: string): void {
    const all = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    for (let i = 0; i < all.length; i += MOST) void this.#sendSome(key, all.slice(i, i + MOST));
  }

  async #sendSome(key: string, some: readonly Asked<Item, Answer>[]): Promise<void> {
    try {
      const answers = await this.#send(
        key,
        some.map(({ item }) => item),
      );
      for (const [i, answer] of answers.entries()) some[i]?.resolve(answer);
    } catch (error) {
      for (const { reject } of some) reject(error);
    }
  }
}
