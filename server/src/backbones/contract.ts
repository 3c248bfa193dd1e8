/**
 * The Backbone contract: what the platform asks of a broker, and what each side must, may and never does.
 * `conformance.ts` turns every obligation into a named test; a backbone is done when that suite is green for it.
 *
 * The law: the log is the truth, the bus is only a hint. The platform retries, counts, times out, measures, logs and
 * wraps errors. A backbone only talks to its broker.
 */
import type { ClientInfo, Position } from "@todoku/protocol";

export type { Position } from "@todoku/protocol";

/** What a publisher hands over. A backbone stores and returns it unchanged and never looks inside. */
export interface Message {
  /** The message's own name, unique in its channel. */
  readonly id: string;
  /** Milliseconds since 1970, set once by the gateway that accepted it. Retention by age counts from here. */
  readonly time: number;
  /** JSON text, already validated. */
  readonly data: string;
  readonly info?: ClientInfo;
  readonly tags?: Readonly<Record<string, string>>;
}

/** A message at its place in a channel's log. */
export interface StoredMessage extends Message {
  readonly offset: number;
}

/** What a bus carries. */
export type Frame =
  | {
      readonly kind: "message";
      readonly message: Message;
      /** Where the log keeps it; absent when the message is in no log. */
      readonly position?: Position;
      /**
       * Offset of the channel's message before this one (0 for the first of an epoch). A backbone that does not know it
       * leaves it out; the platform then reads the log instead of trusting the frame.
       */
      readonly prev?: number;
    }
  /** JSON text from gateway to gateway: joins, leaves, control. */
  | { readonly kind: "signal"; readonly signal: string }
  /** JSON text that another program put on the broker's own channel. A backbone only receives these. */
  | { readonly kind: "foreign"; readonly data: string }
  /** Something that is neither a frame nor JSON; the platform counts it. A backbone only receives these. */
  | { readonly kind: "malformed" }
  /** Frames may have been lost just now. A backbone says so after an interruption that it noticed. */
  | { readonly kind: "interrupted" };

export type FrameListener = (frame: Frame) => void;

export interface BusOptions {
  /** Everyone gets everything here: spread the channel over the broker's servers, if `capabilities.broadcast`. */
  readonly broadcast?: boolean;
}

/**
 * Lossy live fan-out to every subscribed gateway.
 *
 * - `publish` resolves when the broker has taken the frame; it rejects when the frame certainly did not go out or may not have.
 * - A frame published after a `subscribe` resolved should reach its listener; it may be lost, repeated or late.
 * - A bus never delivers a frame to another channel's listener and never alters it.
 * - A listener never throws; a backbone may call it synchronously from within `publish` or `append`.
 * - Several listeners on one channel each get every frame. The function that `subscribe` resolves with stops its own
 *   listener at once, before it resolves, and may be called twice.
 */
export interface Bus {
  publish(channel: string, frame: Frame, options?: BusOptions): Promise<void>;
  /** Publishers and subscribers of a channel use the same options. */
  subscribe(channel: string, listener: FrameListener, options?: BusOptions): Promise<() => Promise<void>>;
}

/** How long a channel's messages are kept. A limit that is absent does not apply; whichever is reached first trims. */
export interface Retention {
  readonly ageMs?: number;
  readonly messages?: number;
  /** Of `data`, in UTF-8 bytes, per channel. */
  readonly bytes?: number;
}

export interface AppendOptions {
  readonly retention: Retention;
  /** With it, a second append with the same key on the same channel within `windowMs` stores nothing. */
  readonly dedupe?: { readonly key: string; readonly windowMs: number };
}

export interface Appended extends Position {
  /** The key was known: nothing was stored, the position is that of the first append. */
  readonly duplicate: boolean;
}

export interface ReadOptions {
  /** Exclusive: only messages above it (forward), or below it (reverse; absent: from the head). Default 0 forward. */
  readonly after?: number;
  /** At most so many messages, ≥ 1. */
  readonly limit: number;
  /** Stop after the message whose data exceeds this sum of bytes; at least one message is returned. */
  readonly maxBytes?: number;
  /** Newest first. */
  readonly reverse?: boolean;
}

export interface Range {
  readonly epoch: string;
  /** Where the present epoch came from; absent or empty where older positions mean nothing. */
  readonly forks?: readonly Position[];
  /** In the order asked for, without holes inside what the log still has. */
  readonly messages: readonly StoredMessage[];
  /** Offset of the newest message ever appended in this epoch; 0 if none. */
  readonly head: number;
  /**
   * Highest offset that is no longer served (trimmed, removed); 0 if nothing is missing. A reader that stands below it
   * has lost what lies between. It may be too high where the broker cannot tell, never too low.
   */
  readonly trimmed: number;
}

export interface Head extends Position {
  readonly forks?: readonly Position[];
  readonly trimmed: number;
}

/**
 * The truth: each channel's messages, in one order, each at its offset.
 *
 * - Offsets are integers in [1, 2^53) that only rise within an epoch; they need not be contiguous.
 * - `append` resolves when the message is stored as durably as the broker is configured to store, with its offset (a
 *   backbone that learns the offset only by reading back waits for that). When two appends on a channel were awaited
 *   one after the other, their offsets are in that order. It rejects with a `BackboneError` that says whether the outcome is known.
 * - A channel that was never written has a head with offset 0 and an epoch; that epoch stays when the first message comes.
 * - The epoch changes exactly when history may have been lost or rewound, never otherwise.
 * - `read` returns what is stored, in order, gapless above `trimmed`; everything whose append resolved before is visible,
 *   through every instance.
 * - Retention may keep more than asked, never less.
 */
export interface Log {
  append(channel: string, message: Message, options: AppendOptions): Promise<Appended>;
  read(channel: string, options: ReadOptions): Promise<Range>;
  /** The heads of several channels, in the order asked for. */
  heads(channels: readonly string[]): Promise<readonly Head[]>;
  /** Forgets the channel's messages; epoch and head stay, `trimmed` becomes the head. */
  remove(channel: string): Promise<void>;
}

/** Who a cursor belongs to: one durable subscription of one user on one channel. */
export interface CursorKey {
  readonly channel: string;
  readonly user: string;
  /** The durable subscription's name. */
  readonly name: string;
}

export interface Cursor {
  /** Everything up to here is acknowledged. */
  readonly position: Position;
  /**
   * Highest offset handed to the subscriber so far, in `position.epoch`; what lies between may be a redelivery. 2^53−1 while
   * a connection holds the cursor: nobody can say yet.
   */
  readonly sent: number;
  /** How often handling the message right after `position` has failed. */
  readonly attempts: number;
}

/** A cursor in the hands of one connection. A later `claim` of the same key makes it stale. */
export interface ClaimedCursor {
  /** Rises with every claim of the key. */
  readonly fence: number;
  /** Absent for a key that was never stored. */
  readonly cursor?: Cursor;
}

export interface CursorWrite {
  readonly key: CursorKey;
  readonly fence: number;
  readonly cursor: Cursor;
}

/** `stored`: written, or nothing to move (the stored cursor was further). `fenced`: somebody claimed it since. */
export type CursorOutcome = "stored" | "fenced";

/**
 * The acknowledged positions of durable subscriptions.
 *
 * - Within an epoch a cursor never moves back; a write that would is answered `stored` and moves nothing (`sent` and
 *   `attempts` of an equal position are taken over). A write with another epoch replaces the cursor.
 * - `write` resolves when all are stored; outcomes are in the order of the writes.
 * - After a `claim` resolved, a write with an older fence is answered `fenced` and stores nothing, through every instance.
 * - A write with a newer fence than the store knows is stored: the store has lost the claim, nobody has taken it over.
 *   A claim made after such a loss still gets a newer fence than any before it.
 * - `forget` removes the cursor; its fence keeps rising.
 */
export interface Cursors {
  claim(key: CursorKey): Promise<ClaimedCursor>;
  write(writes: readonly CursorWrite[]): Promise<readonly CursorOutcome[]>;
  forget(key: CursorKey): Promise<void>;
}

/** A message in the hands of one consumer. */
export interface Lease {
  /** Names this hand-out; a later hand-out of the same job has another. */
  readonly lease: string;
  readonly job: Message;
  /** 1 on the first hand-out. */
  readonly attempt: number;
}

/** `done`: it took effect. `fenced`: the lease was lost, nothing happened. */
export type LeaseOutcome = "done" | "fenced";

/**
 * Kept until done, leased to one consumer of each group.
 *
 * - A job enqueued before or after a group first appeared is handed to exactly one of its consumers at a time.
 * - A lease ends by `done`, `fail`, or by itself after `leaseMs`; the job then becomes available again (except after `done`).
 * - An outcome is `fenced` from the moment the lease ended, through every instance.
 */
export interface Queue {
  enqueue(
    queue: string,
    job: Message,
    options: AppendOptions & { readonly deliverAt?: number },
  ): Promise<{ readonly duplicate: boolean }>;
  /** Up to `limit` leases; an empty list when nothing is available. */
  lease(
    queue: string,
    group: string,
    options: { readonly limit: number; readonly leaseMs: number },
  ): Promise<readonly Lease[]>;
  done(queue: string, group: string, lease: string): Promise<LeaseOutcome>;
  fail(queue: string, group: string, lease: string, retryInMs: number): Promise<LeaseOutcome>;
  extend(queue: string, group: string, lease: string, leaseMs: number): Promise<LeaseOutcome>;
}

/** The promises, weakest first. */
export const DELIVERIES = ["at-most-once", "at-least-once", "exactly-once"] as const;
export type Delivery = (typeof DELIVERIES)[number];

export type Facet = "bus" | "log" | "cursors" | "queue";

/** What a backbone can promise: plain data, read by the platform instead of the backbone's name. */
export interface Capabilities {
  /** Strongest guarantee that a namespace whose facets all come from here can be promised. */
  readonly delivery: Delivery;
  /** Stored messages and cursors survive the restart of the store (and of the process, where they are the same). */
  readonly durable: boolean;
  /** Instances in several processes see the same messages. */
  readonly shared: boolean;
  /** An appended message reaches the bus of the same backbone by itself. */
  readonly announces: boolean;
  /** One channel can be spread over several servers, so that a broadcast to many gateways scales with them. */
  readonly broadcast?: boolean;
  /** The order in which subscribers of the bus see a channel's frames. */
  readonly ordering: "channel" | "none";
  /** Longest deduplication window in ms; 0: none. */
  readonly dedupeWindowMs: number;
  /** Largest message in UTF-8 bytes of `data`. */
  readonly messageBytes: number;
  /** Which retention limits the log honours. */
  readonly retention: readonly (keyof Retention)[];
}

/** What every call of a backbone rejects with. `cause` is the broker client's own error. */
export class BackboneError extends Error {
  override readonly name = "BackboneError";
  /**
   * - `unavailable`: the broker cannot be reached or refuses work for now; nothing was stored.
   * - `unknown`: the call may have taken effect.
   * - `full`: no space; nothing was stored.
   * - `invalid`: the store or its configuration is wrong and a person must look.
   */
  readonly reason: "unavailable" | "unknown" | "full" | "invalid";

  constructor(reason: BackboneError["reason"], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/**
 * One broker. Constructing it does nothing; `open` connects and checks the broker's own settings, and rejects with a
 * `BackboneError` that names the culprit, the value and the way out. `close` finishes what was begun, and leaves no
 * socket, timer or file open; calls after it reject. The facets may be used between the two only.
 */
export interface Backbone {
  readonly type: string;
  readonly capabilities: Capabilities;
  readonly bus?: Bus;
  readonly log?: Log;
  readonly cursors?: Cursors;
  readonly queue?: Queue;
  open(): Promise<void>;
  close(): Promise<void>;
  /** Resolves while the broker answers; rejects with the reason otherwise. Cheap: it is called by the readiness probe. */
  check(): Promise<void>;
}
