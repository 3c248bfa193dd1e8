/** Who holds which durable subscription on this gateway, and the hand-over from an older holder to a newer one. */
import { ERRORS, TodokuError } from "@todoku/protocol";
import type { ClaimedCursor, CursorKey, Cursors } from "../backbones/contract.ts";
import { CursorWriter, cursorName, DurableCursor } from "./durable-cursor.ts";

/** The holder of a durable subscription. */
export interface Holder {
  /** Another connection holds it now. */
  takenOver(): void;
}

interface Held {
  readonly holder: Holder;
  /** Of its claim; absent until that is made. */
  fence: number | undefined;
}

export class DurableSubscriptions {
  readonly #writers = new Map<Cursors, CursorWriter>();
  readonly #holders = new Map<string, Held>();
  readonly #onClaimed: (key: CursorKey, fence: number) => void;

  /** `onClaimed` is told of every claim made here, so that the other gateways can hear of it. */
  constructor(onClaimed: (key: CursorKey, fence: number) => void = () => {}) {
    this.#onClaimed = onClaimed;
  }

  /**
   * Takes the durable subscription from whoever holds it, here or on another gateway. Rejects with the backbone's error.
   *
   * @throws TodokuError 404 if another connection asked for it meanwhile: it must not be fenced off by an older one.
   */
  async claim(
    cursors: Cursors,
    key: CursorKey,
    holder: Holder,
  ): Promise<{ claimed: ClaimedCursor; cursor: DurableCursor }> {
    const name = cursorName(key);
    const older = this.#holders.get(name);
    const held: Held = { holder, fence: undefined };
    this.#holders.set(name, held);
    older?.holder.takenOver();
    // What the older holder acknowledged counts: let it be stored before the claim fences it off.
    const writer = this.#writer(cursors);
    await writer.flushed();
    if (this.#holders.get(name) !== held) throw new TodokuError(ERRORS.takenOver);
    const claimed = await writer.claim(key);
    held.fence = claimed.fence;
    this.#onClaimed(key, claimed.fence);
    return { claimed, cursor: new DurableCursor(writer, key, claimed.fence, () => holder.takenOver()) };
  }

  /** Another gateway has claimed it. A holder that cannot write any more is told now, and not at its next acknowledgement. */
  claimedElsewhere(key: CursorKey, fence: number): void {
    const name = cursorName(key);
    const held = this.#holders.get(name);
    if (held?.fence === undefined || held.fence >= fence) return;
    this.#holders.delete(name);
    held.holder.takenOver();
  }

  /** The holder has let go. */
  release(key: CursorKey, holder: Holder): void {
    const name = cursorName(key);
    if (this.#holders.get(name)?.holder === holder) this.#holders.delete(name);
  }

  async forget(cursors: Cursors, key: CursorKey): Promise<void> {
    const writer = this.#writer(cursors);
    // What the subscription still had to write when it ended would bring the cursor back.
    await writer.flushed();
    await writer.forget(key);
  }

  /** Resolves when every write handed over so far is stored or has failed. */
  async flushed(): Promise<void> {
    await Promise.all([...this.#writers.values()].map((writer) => writer.flushed()));
  }

  #writer(cursors: Cursors): CursorWriter {
    let writer = this.#writers.get(cursors);
    if (!writer) {
      writer = new CursorWriter(cursors);
      this.#writers.set(cursors, writer);
    }
    return writer;
  }
}
