/** `for await` over a subscription: a handler whose message is done when the loop asks for the next one. */
import type { TodokuError } from "@todoku/protocol";
import type { Message } from "./message.ts";

interface Offered<Data> {
  readonly message: Message<Data>;
  /** The loop came back for the next message. */
  readonly done: () => void;
  /** The loop was left, or the subscription ended. */
  readonly left: (reason: unknown) => void;
}

type Next<Data> = IteratorResult<Message<Data>, undefined>;

interface Asking<Data> {
  readonly resolve: (next: Next<Data>) => void;
  readonly reject: (error: TodokuError) => void;
}

const END: IteratorResult<never, undefined> = { done: true, value: undefined };

export class Iteration<Data> implements AsyncIterableIterator<Message<Data>, undefined> {
  readonly #leave: () => Promise<void>;
  #offered: Offered<Data> | undefined;
  #given: Offered<Data> | undefined;
  #asking: Asking<Data> | undefined;
  #ended = false;
  #error: TodokuError | undefined;

  /** `leave` closes the subscription when the loop is left. */
  constructor(leave: () => Promise<void>) {
    this.#leave = leave;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The handler: resolves when the loop asks for the next message, rejects when that will not happen. */
  handle(message: Message<Data>): Promise<void> {
    return new Promise((done, left) => {
      this.#offered = { message, done, left };
      this.#match();
    });
  }

  next(): Promise<Next<Data>> {
    this.#given?.done();
    this.#given = undefined;
    if (this.#asking) return Promise.reject(new Error("ask for the next message when the last one has come"));
    return new Promise((resolve, reject) => {
      this.#asking = { resolve, reject };
      this.#match();
    });
  }

  async return(): Promise<Next<Data>> {
    // The loop was left in the middle, perhaps by an error of its body.
    this.#given?.left(undefined);
    this.#given = undefined;
    await this.#leave();
    return END;
  }

  /** The subscription ends, and so does the loop when it asks for the next message: with `error` if there is one. */
  end(error: TodokuError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#offered?.left(error);
    this.#offered = undefined;
    this.#match();
  }

  #match(): void {
    const asking = this.#asking;
    if (!asking) return;
    if (this.#offered) {
      this.#given = this.#offered;
      this.#offered = undefined;
      this.#asking = undefined;
      asking.resolve({ done: false, value: this.#given.message });
    } else if (this.#ended) {
      this.#asking = undefined;
      const error = this.#error;
      this.#error = undefined;
      if (error) asking.reject(error);
      else asking.resolve(END);
    }
  }
}
