/**
 * The cursors facet: a compacted topic, in which claims and writes take effect in the order of the log, so that every gateway that
 * reads it knows the same cursors.
 *
 * Compaction keeps the newest record of each cursor only. So each record says all that is known of its cursor; and whoever reads back a
 * record of his own that does not say what is the case (a write that was fenced, a claim that a write came before) writes one that does.
 */
import type { Clock } from "../../clock.ts";
import { BackboneError, type ClaimedCursor, type Cursor, type CursorKey } from "../contract.ts";
import type { CursorOutcome, Cursors, CursorWrite } from "../contract.ts";
import { movesBack, nextFence } from "../cursor-order.ts";
import { asBackboneError } from "./failure.ts";
import type { Reading } from "./followed-partition.ts";
import type { Follower } from "./follower.ts";
import type { OwnLane, OwnTopic } from "./own-topic.ts";
import type { PlacedRecord } from "./records.ts";

/** Own records of which nobody has asked what came of them: their callers were told that the outcome is unknown. */
const MOST_OUTCOMES = 10_000;

interface State {
  readonly fence: number;
  readonly cursor: Cursor | null;
}

interface Entry extends State {
  /** Who wrote it. */
  readonly by: string;
  /** Somebody takes the cursor over: `fence` is the one before. Holds the time at which that was, in ms since 1970. */
  readonly claim?: number;
}

/** What came of an own record. */
interface Outcome {
  readonly fenced: boolean;
  readonly state: State;
  /** The record says what is the case. */
  readonly whole: boolean;
}

/** The cursors of one partition. */
export class CursorTable implements Reading {
  readonly #by: string;
  readonly #states = new Map<string, State>();
  readonly #outcomes = new Map<number, Outcome>();

  /** `by` names this gateway. */
  constructor(by: string) {
    this.#by = by;
  }

  state(id: string): State {
    return this.#states.get(id) ?? { fence: 0, cursor: null };
  }

  /** What came of the own record at this offset; told once. */
  outcome(offset: number): Outcome | undefined {
    const outcome = this.#outcomes.get(offset);
    this.#outcomes.delete(offset);
    return outcome;
  }

  take({ offset, key, value }: PlacedRecord): void {
    if (!key) return;
    const id = key.toString();
    const known = this.#states.get(id);
    if (!value) {
      // Forgotten; the fence goes on rising while somebody remembers it, and else with the clock.
      if (known) this.#states.set(id, { fence: known.fence, cursor: null });
      return;
    }
    const entry = entryOf(value);
    if (!entry) return;
    const state = known ?? { fence: 0, cursor: null };
    const fenced = entry.claim === undefined && entry.fence < state.fence;
    const next = fenced ? state : after(known, entry);
    this.#states.set(id, next);
    if (entry.by !== this.#by) return;
    const whole =
      !fenced && same(next.cursor, entry.cursor) && (entry.claim === undefined || entry.fence === state.fence);
    this.#outcomes.set(offset, { fenced, state: next, whole });
    for (const old of this.#outcomes.keys()) {
      if (this.#outcomes.size <= MOST_OUTCOMES) return;
      this.#outcomes.delete(old);
    }
  }

  trim(): void {}

  reset(): void {
    this.#states.clear();
  }
}

export class KafkaCursors implements Cursors {
  readonly #name: string;
  readonly #topic: OwnTopic<CursorTable>;
  readonly #follower: Follower;
  readonly #clock: Clock;
  readonly #by: string;

  /** `by` names this gateway. */
  constructor(name: string, topic: OwnTopic<CursorTable>, follower: Follower, clock: Clock, by: string) {
    this.#name = name;
    this.#topic = topic;
    this.#follower = follower;
    this.#clock = clock;
    this.#by = by;
  }

  async claim(key: CursorKey): Promise<ClaimedCursor> {
    const id = idOf(key);
    const lane = this.#topic.laneOf(id);
    await this.#topic.follow(lane);
    const { state, whole } = await this.#tell(lane, id, { ...lane.reading.state(id), claim: this.#clock.now() });
    if (!whole) await this.#mend(lane, id, state);
    const { fence, cursor } = state;
    return { fence, ...(cursor && { cursor }) };
  }

  async write(writes: readonly CursorWrite[]): Promise<readonly CursorOutcome[]> {
    return Promise.all(
      writes.map(async ({ key, fence, cursor }) => {
        const id = idOf(key);
        const lane = this.#topic.laneOf(id);
        await this.#topic.follow(lane);
        if (fence < lane.reading.state(id).fence) return "fenced";
        const { fenced, whole } = await this.#tell(lane, id, { fence, cursor });
        // Nobody waits for this: whoever holds the cursor says as much with the next write.
        if (!whole) void this.#mend(lane, id, lane.reading.state(id)).catch(() => {});
        return fenced ? "fenced" : "stored";
      }),
    );
  }

  async forget(key: CursorKey): Promise<void> {
    const id = idOf(key);
    const lane = this.#topic.laneOf(id);
    const followed = await this.#topic.follow(lane);
    const offset = await this.#topic.append(lane, { key: Buffer.from(id), value: null });
    await this.#follower.until(followed, offset + 1);
  }

  /** Says in one record what is the case. */
  async #mend(lane: OwnLane<CursorTable>, id: string, state: State): Promise<void> {
    let now = state;
    for (;;) {
      const { whole, state: then } = await this.#tell(lane, id, now);
      if (whole) return;
      now = then;
    }
  }

  async #tell(lane: OwnLane<CursorTable>, id: string, entry: Omit<Entry, "by">): Promise<Outcome> {
    const value = Buffer.from(JSON.stringify({ ...entry, by: this.#by } satisfies Entry));
    const offset = await this.#topic.append(lane, { key: Buffer.from(id), value });
    try {
      const followed = await this.#topic.follow(lane);
      await this.#follower.until(followed, offset + 1);
    } catch (error) {
      const { message } = asBackboneError(this.#name, error, "read");
      throw new BackboneError("unknown", `${message}; the cursor is stored, and was not read back yet`, {
        cause: error,
      });
    }
    const outcome = lane.reading.outcome(offset);
    if (!outcome) throw new BackboneError("unknown", `[${this.#name}] a cursor was stored, and is gone from its topic`);
    return outcome;
  }
}

/** What is the case after a record that took effect. */
function after(known: State | undefined, entry: Entry): State {
  // Where older records were compacted away, this one says what they said.
  const state = known ?? { fence: entry.claim === undefined ? 0 : entry.fence, cursor: entry.cursor };
  if (entry.claim !== undefined) return { fence: nextFence(state.fence, entry.claim), cursor: state.cursor };
  const moves = entry.cursor !== null && !movesBack(state.cursor ?? undefined, entry.cursor);
  return { fence: entry.fence, cursor: moves ? entry.cursor : state.cursor };
}

function same(one: Cursor | null, other: Cursor | null): boolean {
  if (!one || !other) return one === other;
  return (
    one.position.epoch === other.position.epoch &&
    one.position.offset === other.position.offset &&
    one.sent === other.sent &&
    one.attempts === other.attempts
  );
}

function idOf({ channel, user, name }: CursorKey): string {
  return JSON.stringify([channel, user, name]);
}

function entryOf(value: Buffer): Entry | undefined {
  try {
    const entry = JSON.parse(value.toString()) as Partial<Entry> | null;
    const { by, fence, cursor, claim } = entry ?? {};
    if (typeof by !== "string" || !Number.isSafeInteger(fence) || cursor === undefined) return undefined;
    if (cursor && (typeof cursor.position?.epoch !== "string" || !Number.isSafeInteger(cursor.position.offset)))
      return undefined;
    return { by, fence: fence ?? 0, cursor, ...(claim !== undefined && { claim }) };
  } catch {
    return undefined;
  }
}
