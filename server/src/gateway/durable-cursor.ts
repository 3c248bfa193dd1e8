/** The cursors of the durable subscriptions of this gateway: claimed by one connection each, written in batches. */
import { ERRORS, TodokuError } from "@todoku/protocol";
import { BackboneError, type Cursor, type CursorKey, type CursorOutcome, type Cursors } from "../backbones/contract.ts";

interface Waiting {
  readonly resolve: (outcome: CursorOutcome) => void;
  readonly reject: (error: unknown) => void;
}

interface Pending {
  readonly key: CursorKey;
  readonly fence: number;
  cursor: Cursor;
  readonly waiting: Waiting[];
}

/**
 * Gathers the writes to one `Cursors` while an earlier batch is under way; of several writes to one cursor the last one
 * counts. So a thousand acknowledgements a second cost a few writes.
 */
export class CursorWriter {
  readonly #cursors: Cursors;
  #pending = new Map<string, Pending>();
  /** The batch that is being written. Never rejects. */
  #batch: Promise<void> | undefined;

  constructor(cursors: Cursors) {
    this.#cursors = cursors;
  }

  claim(key: CursorKey): ReturnType<Cursors["claim"]> {
    return this.#cursors.claim(key);
  }

  /** Removes the cursor, after what was handed over before: a late write would bring it back. */
  async forget(key: CursorKey): Promise<void> {
    await this.flushed();
    await this.#cursors.forget(key);
  }

  write(key: CursorKey, fence: number, cursor: Cursor): Promise<CursorOutcome> {
    return new Promise((resolve, reject) => {
      const name = `${fence} ${cursorName(key)}`;
      const pending = this.#pending.get(name) ?? { key, fence, cursor, waiting: [] };
      pending.cursor = cursor;
      pending.waiting.push({ resolve, reject });
      this.#pending.set(name, pending);
      if (!this.#batch) void this.#writeAll();
    });
  }

  /** Resolves when everything handed over so far was written or has failed. */
  async flushed(): Promise<void> {
    const pending = [...this.#pending.values()];
    const written = pending.map(({ waiting }) => new Promise((resolve) => waiting.push({ resolve, reject: resolve })));
    await Promise.all([this.#batch, ...written]);
  }

  async #writeAll(): Promise<void> {
    // Let the acknowledgements of one turn gather first.
    this.#batch = Promise.resolve();
    await this.#batch;
    while (this.#pending.size > 0) {
      const batch = [...this.#pending.values()];
      this.#pending = new Map();
      this.#batch = this.#writeBatch(batch);
      await this.#batch;
    }
    this.#batch = undefined;
  }

  async #writeBatch(batch: readonly Pending[]): Promise<void> {
    try {
      const outcomes = await this.#cursors.write(batch.map(({ key, fence, cursor }) => ({ key, fence, cursor })));
      batch.forEach(({ waiting }, i) => {
        for (const { resolve } of waiting) resolve(outcomes[i] ?? "fenced");
      });
    } catch (error) {
      for (const { waiting } of batch) for (const { reject } of waiting) reject(error);
    }
  }
}

/**
 * Stored as `sent` for as long as a subscription is open, instead of writing with every message: if nobody is left to say
 * how far it came, everything there was may have been handed out.
 */
export const STILL_OPEN: number = Number.MAX_SAFE_INTEGER;

/** A cursor in the hands of one subscription. */
export class DurableCursor {
  readonly key: CursorKey;
  readonly #writer: CursorWriter;
  readonly #fence: number;
  readonly #onFenced: () => void;

  /** `onFenced` is called when a write shows that another connection, here or elsewhere, has claimed the cursor since. */
  constructor(writer: CursorWriter, key: CursorKey, fence: number, onFenced: () => void) {
    this.#writer = writer;
    this.key = key;
    this.#fence = fence;
    this.#onFenced = onFenced;
  }

  /** @throws TodokuError 404 when fenced, 402, 403 or 405 when the backbone failed. */
  async write(cursor: Cursor): Promise<void> {
    let outcome: CursorOutcome;
    try {
      outcome = await this.#writer.write(this.key, this.#fence, cursor);
    } catch (error) {
      const full = error instanceof BackboneError && error.reason === "full";
      throw new TodokuError(full ? ERRORS.storageFull : ERRORS.backboneUnavailable, undefined, { cause: error });
    }
    if (outcome === "fenced") {
      this.#onFenced();
      throw new TodokuError(ERRORS.takenOver);
    }
  }
}

/** One text per key, for maps. */
export function cursorName({ channel, user, name }: CursorKey): string {
  return JSON.stringify([channel, user, name]);
}
