/**
 * Hands what the inbox holds to the handler: one at a time, in order, the next not before the last one is done and its
 * position is stored. What fails is repeated, or given back to the server; it is never passed over in silence.
 */
import { CLIENT_ERRORS, ERRORS, TodokuError, type Position } from "@todoku/protocol";
import type { Backoff } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import type { Inbox, Item } from "./inbox.ts";
import type { Gap, Message } from "./message.ts";
import { Retrying } from "./retrying.ts";

/** Called with each message; it is done when the returned promise resolves. */
export type Handler<Data> = (message: Message<Data>) => unknown;

/** Keeps a handled position. */
export type Store = (position: Position) => Promise<void> | void;

export interface DeliveryOptions {
  readonly channel: string;
  readonly clock: Clock;
  readonly backoff: Backoff;
  /** How often a message is given to the handler before the subscription ends, where the server does not count. */
  readonly maxAttempts: number;
  /** The server hands failed messages out again. */
  readonly byServer: boolean;
  /** Absent where no position is kept. */
  readonly store: Store | undefined;
}

export interface DeliveryEvents<Data> {
  /** Something was handled. */
  advanced(): void;
  gap(gap: Gap): void;
  /** With `byServer`: the message must come again. */
  failed(item: Item<Data>): void;
  error(error: TodokuError): void;
  /** It cannot go on. */
  ended(error: TodokuError): void;
}

export class Delivery<Data> {
  readonly #inbox: Inbox<Data>;
  readonly #handler: Handler<Data>;
  readonly #options: DeliveryOptions;
  readonly #events: DeliveryEvents<Data>;
  readonly #retrying: Retrying;
  #running = false;
  #current: Item<Data> | undefined;
  /** What failed last with `byServer`, and how often: it comes again as an item of its own. */
  #failed: { readonly position: Position; readonly attempts: number } | undefined;
  #whenIdle: (() => void)[] = [];

  constructor(inbox: Inbox<Data>, handler: Handler<Data>, options: DeliveryOptions, events: DeliveryEvents<Data>) {
    this.#inbox = inbox;
    this.#handler = handler;
    this.#options = options;
    this.#retrying = new Retrying(options.clock, options.backoff);
    this.#events = events;
  }

  /** What is being handled. */
  get current(): Item<Data> | undefined {
    return this.#current;
  }

  /** Something is in the inbox. */
  wake(): void {
    if (!this.#running) this.#run();
  }

  /** Begins nothing new. Resolves when what is being handled is done. */
  stop(): Promise<void> {
    this.#retrying.stop();
    return this.#running ? new Promise((resolve) => this.#whenIdle.push(resolve)) : Promise.resolve();
  }

  /** Until the inbox is empty, or something is to be waited for: then it goes on from there. */
  #run(): void {
    this.#running = true;
    while (!this.#retrying.stopped) {
      const item = this.#inbox.take();
      if (!item) break;
      const rest = this.#process(item);
      if (rest) return void rest.then(() => this.#run());
    }
    this.#running = false;
    if (this.#retrying.stopped) for (const idle of this.#whenIdle.splice(0)) idle();
  }

  /** Undefined when the item is done with already: a promise for each message would cost more than the rest of it. */
  #process(item: Item<Data>): Promise<void> | undefined {
    this.#current = item;
    const handled = item.message && this.#handle(item, item.message);
    return handled ? this.#finishAfter(item, handled) : this.#finish(item);
  }

  async #finishAfter(item: Item<Data>, handled: Promise<boolean>): Promise<void> {
    if (await handled) await this.#finish(item);
    else this.#current = undefined;
  }

  /** It was handled: its position is kept, and then that is told. */
  #finish(item: Item<Data>): Promise<void> | undefined {
    this.#current = undefined;
    this.#inbox.done(item);
    const { store } = this.#options;
    const kept = store && item.position && this.#keep(store, item.position);
    if (kept) return kept.then(() => this.#tell(item));
    this.#tell(item);
    return undefined;
  }

  #tell({ gap }: Item<Data>): void {
    if (gap) this.#events.gap(gap);
    this.#events.advanced();
  }

  /** Whether the message is done, when that is not known at once; undefined: it is. */
  #handle(item: Item<Data>, message: Message<Data>): Promise<boolean> | undefined {
    return outcomeOf(this.#handler, message)?.then(
      () => true,
      (cause: unknown) => this.#handleAgain(item, message, cause),
    );
  }

  /** The first call failed; tells whether the message is done after all. */
  async #handleAgain(item: Item<Data>, message: Message<Data>, failure: unknown): Promise<boolean> {
    const handled = await this.#retrying.until(
      (attempt) => (attempt === 1 ? Promise.reject(failure) : this.#handler({ ...message, redelivered: true })),
      (cause, attempt) => this.#isRepeatedHere(item, attempt, cause),
    );
    // A channel that keeps no log hands out at most once: the handler had its chance.
    return handled !== undefined || item.position === undefined;
  }

  /** A handler failed: tells so, and says whether its message stays here. */
  #isRepeatedHere(item: Item<Data>, attempt: number, cause: unknown): boolean {
    if (this.#retrying.stopped) return false;
    if (isTakenOver(cause)) {
      this.#events.ended(cause);
      return false;
    }
    const { byServer, maxAttempts } = this.#options;
    const error = this.#failure(item, byServer ? this.#attemptsAt(item) : attempt, cause);
    if (item.position && !byServer && attempt >= maxAttempts) {
      this.#events.ended(error);
      return false;
    }
    this.#events.error(error);
    if (item.position && byServer) {
      this.#current = undefined;
      this.#events.failed(item);
    }
    return item.position !== undefined && !byServer;
  }

  /** How often the handler failed at what the server hands out again, this time included. */
  #attemptsAt({ position }: Item<Data>): number {
    if (!position) return 1;
    const again = this.#failed?.position.offset === position.offset && this.#failed.position.epoch === position.epoch;
    const attempts = again ? (this.#failed?.attempts ?? 0) + 1 : 1;
    this.#failed = { position, attempts };
    return attempts;
  }

  /** A position that is not kept would let the message come twice: it is tried again, and without success the end is told. */
  #keep(store: Store, position: Position): Promise<void> | undefined {
    const first = outcomeOf(store, position);
    return first && this.#keepOn(store, position, first);
  }

  async #keepOn(store: Store, position: Position, first: Promise<unknown>): Promise<void> {
    const { maxAttempts, channel } = this.#options;
    await this.#retrying.until(
      (attempt) => (attempt === 1 ? first : store(position)),
      (cause, attempt) => {
        if (isTakenOver(cause)) {
          this.#events.ended(cause);
          return false;
        }
        const detail = `position ${position.offset} of ${channel}`;
        const error = new TodokuError(CLIENT_ERRORS.cursorStoreFailed, detail, { cause });
        const again = attempt < maxAttempts && !this.#retrying.stopped;
        if (again) this.#events.error(error);
        else this.#events.ended(error);
        return again;
      },
    );
  }

  #failure({ position }: Item<Data>, attempt: number, cause: unknown): TodokuError {
    const where = position ? ` at offset ${position.offset}` : "";
    return new TodokuError(CLIENT_ERRORS.handlerFailed, `${this.#options.channel}${where}, attempt ${attempt}`, {
      cause,
    });
  }
}

/** Somebody else handles the channel's messages now: another try, also of the server's, would get in the way. */
function isTakenOver(cause: unknown): cause is TodokuError {
  return cause instanceof TodokuError && cause.code === ERRORS.takenOver.code;
}

/** What a call will come to; undefined when it has come to its end already. Never throws. */
function outcomeOf<T>(call: (value: T) => unknown, value: T): Promise<unknown> | undefined {
  try {
    const result = call(value);
    return isThenable(result) ? Promise.resolve(result) : undefined;
  } catch (cause) {
    return Promise.reject(cause);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value;
}
