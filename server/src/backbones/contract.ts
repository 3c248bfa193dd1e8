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

/** Of one channel, forward: only what is above `after`. */
export interface ChannelRead {
  readonly channel: string;
  readonly after: number;
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
 *   backbone that learns the offset only by reading back waits for that). Appends through one
 *   instance are stored in the order in which they were called, also those that are not awaited; of two instances, in the
 *   order in which they were awaited. It rejects with a `BackboneError` that says whether the outcome is known.
 * - A channel that was never written has a head with offset 0 and an epoch; that epoch stays when the first message comes.
 * - The epoch changes exactly when history may have been lost or rewound, never otherwise.
 * - `read` returns what is stored, in order, gapless above `trimmed`; everything whose append resolved before is visible,
 *   through every instance.
 * - Retention may keep more than asked, never less.
 * - `channels` names every channel of a namespace that had messages when the first page was asked for and has them still; in
 *   no particular order, some perhaps twice, and perhaps some that keep nothing any more. What was written meanwhile may be left out.
 * - `readMany` is there where channels share a log, so that reading them together costs less than one by one. It answers as `read`
 *   for each channel would, but that `limit` and `maxBytes` hold for all together: the messages of a channel may end before its head,
 *   and there may be none of it. Repeated from where the answers end, it comes to everything.
 */
export interface Log {
  append(channel: string, message: Message, options: AppendOptions): Promise<Appended>;
  read(channel: string, options: ReadOptions): Promise<Range>;
  /** In the order asked for. No channel twice. */
  readMany?(reads: readonly ChannelRead[], options: Pick<ReadOptions, "limit" | "maxBytes">): Promise<readonly Range[]>;
  /** The heads of several channels, in the order asked for. */
  heads(channels: readonly string[]): Promise<readonly Head[]>;
  /** Forgets the channel's messages; epoch and head stay, `trimmed` becomes the head. */
  remove(channel: string): Promise<void>;
  /** One page; `after` is the `next` of the page before. `namespace` is the part before the colon, `""` for names without one. */
  channels(namespace: string, after?: string): Promise<ChannelPage>;
}

export interface ChannelPage {
  readonly channels: readonly string[];
  /** Where to go on; absent on the last page. */
  readonly next?: string;
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

/** A job in the hands of one consumer. */
export interface Lease {
  /** Names this hand-out; a later hand-out of the same job has another. Nobody can guess it. */
  readonly lease: string;
  readonly job: Message;
  /** 1 on the first hand-out; one more with each that was not given back untried. */
  readonly attempt: number;
}

export interface EnqueueOptions {
  /** With it, a second job with the same key in the same queue within `windowMs` is not stored. */
  readonly dedupe?: AppendOptions["dedupe"];
  /** Not handed out before; ms since 1970. Only with `capabilities.queue.deliverAt`. */
  readonly deliverAt?: number;
  /** Forgotten from then on, unless somebody has it in hand; ms since 1970. Only with `capabilities.queue.ttl`. */
  readonly expiresAt?: number;
}

/** What happens to jobs that are not done. Every call for a queue is given the same. */
export interface Redelivery {
  /** Attempts after which a job is given up. */
  readonly maxAttempts: number;
  /** Delay after the first failed attempt; doubles with each up to `lastMs`. */
  readonly backoff: { readonly firstMs: number; readonly lastMs: number };
  /** Jobs that are given up are kept as dead letters; else they are forgotten. */
  readonly deadLetters: boolean;
}

export interface LeaseOptions {
  /** At most so many, ≥ 1. */
  readonly limit: number;
  readonly leaseMs: number;
  readonly redelivery: Redelivery;
}

export interface HandOut {
  readonly leases: readonly Lease[];
  /** When to ask again, as far as the store knows: a delay or a lease of this group ends then. */
  readonly nextInMs?: number;
}

export interface Failure {
  readonly redelivery: Redelivery;
  /** Instead of the delay that `redelivery` says. */
  readonly retryInMs?: number;
  /** Nobody tried it: it is available at once, and the attempt does not count (where the broker can tell). */
  readonly untried?: boolean;
  /** What went wrong, for who reads the dead letters. */
  readonly reason?: string;
}

/** A message that is stored together with the end of a job: in a channel's log, or as another job. */
export type Result =
  | { readonly channel: string; readonly message: Message; readonly options: AppendOptions }
  | { readonly queue: string; readonly message: Message; readonly options: EnqueueOptions };

/** `done`: it took effect. `fenced`: the lease was lost, nothing happened. */
export type LeaseOutcome = "done" | "fenced";
/** `again`: it will be handed out again. `dead`: it was given up. */
export type FailOutcome = "again" | "dead" | "fenced";

export interface GroupInfo {
  readonly group: string;
  /** May be handed out now. */
  readonly ready: number;
  readonly leased: number;
  /** Waiting for `deliverAt` or after a failed attempt. A job that nobody has looked at yet counts as ready. */
  readonly delayed: number;
  readonly dead: number;
  /** When the oldest job that this group has not done was accepted; ms since 1970. */
  readonly oldestTime?: number;
}

export interface QueueInfo {
  readonly paused: boolean;
  /** Kept because some group has not done them, or because there is no group yet. */
  readonly jobs: number;
  readonly groups: readonly GroupInfo[];
}

export interface DeadLetter {
  /** Names it within its queue. */
  readonly id: string;
  readonly group: string;
  readonly job: Message;
  readonly attempts: number;
  /** When it was given up; ms since 1970. */
  readonly time: number;
  readonly reason: string;
}

/** Jobs that were given up, oldest first. */
export interface DeadLetters {
  /** Those after the one with the id `after`. */
  list(queue: string, options: { readonly limit: number; readonly after?: string }): Promise<readonly DeadLetter[]>;
  /** The ones with these ids that there are, in the order of `ids`. */
  get(queue: string, ids: readonly string[]): Promise<readonly DeadLetter[]>;
  /** Hands them to their group again, as if for the first time. Resolves with how many there were. */
  replay(queue: string, ids: readonly string[]): Promise<number>;
  /** Forgets them. Resolves with how many there were. */
  purge(queue: string, ids: readonly string[]): Promise<number>;
}

/**
 * Kept until done, leased to one consumer of each group.
 *
 * - A group exists from its first `lease` on, and is handed every job that is kept then or enqueued later. A job is kept until
 *   every group has done it (or given it up); without a group it is kept.
 * - A job is in the hands of at most one consumer of a group at a time. Jobs are handed out in the order of `enqueue`, as
 *   far as delays, failures and several consumers allow.
 * - `enqueue` resolves when the job is stored as durably as the broker is configured to store.
 * - A lease ends by `done`, by `fail`, or by itself after `leaseMs`. After the latter two the job is available again after
 *   the delay of `redelivery`, or was its last attempt and is given up.
 * - An outcome is `fenced` from the moment the lease ended, through every instance, and nothing happens then.
 * - `extend` lets the lease end `leaseMs` from now: later or earlier than before.
 * - `done` with `results` stores all of them together with the end of the job, or nothing. Only with `capabilities.queue.results`;
 *   they go to this backbone.
 * - `lease` answers nothing while the queue is paused; leases that are held go on.
 */
export interface Queue {
  enqueue(queue: string, job: Message, options: EnqueueOptions): Promise<{ readonly duplicate: boolean }>;
  /** Never waits for a job to come. */
  lease(queue: string, group: string, options: LeaseOptions): Promise<HandOut>;
  done(queue: string, group: string, lease: string, results?: readonly Result[]): Promise<LeaseOutcome>;
  fail(queue: string, group: string, lease: string, failure: Failure): Promise<FailOutcome>;
  extend(queue: string, group: string, lease: string, leaseMs: number): Promise<LeaseOutcome>;
  /** The lease as it was handed out, while it is held. */
  held(queue: string, group: string, lease: string): Promise<Lease | undefined>;
  /**
   * Calls the listener when a job may have become available, through every instance. Only a hint: it may be lost, and where the last
   * `lease` of every group handed out as many jobs as it asked for, nobody need be told.
   */
  watch(queue: string, listener: () => void): Promise<() => Promise<void>>;
  info(queue: string): Promise<QueueInfo>;
  pause(queue: string, paused: boolean): Promise<void>;
  /** Forgets a group and what it has not done; its dead letters stay. */
  forget(queue: string, group: string): Promise<void>;
  readonly dead: DeadLetters;
}

/** What another program left for the platform to publish. Nothing of it was checked. */
export interface IngestEntry {
  /** Names the entry, also when it is handed over again. */
  readonly id: string;
  readonly channel?: string;
  /** Should be JSON text. */
  readonly data?: string;
  /** Idempotency key of the producer. */
  readonly key?: string;
  /** Should be JSON text: an object of strings. */
  readonly tags?: string;
  /** It was handed to somebody before, who may have published it. */
  readonly again: boolean;
}

/** `taken`: it needs no further care. Refused: it can never be published, for this reason. */
export type IngestVerdict = "taken" | { readonly refused: string };

/**
 * A way in for programs that speak the broker's own language: they leave entries in one place of the broker, and the gateways
 * publish them as if they had come through the API.
 *
 * - `start` resolves when entries are being fetched. Each entry is handed to one of the instances that have started, in any process.
 * - An entry is removed after `deliver` resolved with `taken`. It is set aside, with the reason, where a bounded number of
 *   such entries is kept for a person to look at, after it resolved with a refusal.
 * - When `deliver` rejects, or its process dies, the entry is handed over again after a while, to any instance, with `again`.
 *   So an entry may be handed over more than once, even at once; the platform recognises it by `key` or `id`.
 * - Entries are handed over in their order, as far as one instance, failures and concurrent calls of `deliver` allow.
 * - The function that `start` resolves with stops: it resolves when no `deliver` is under way any more.
 */
export interface Ingest {
  start(deliver: (entry: IngestEntry) => Promise<IngestVerdict>): Promise<() => Promise<void>>;
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
  /** The bus never hands a frame to the same listener twice: nobody has to look for repeats. */
  readonly once?: boolean;
  /** Longest deduplication window in ms; 0: none. */
  readonly dedupeWindowMs: number;
  /** Largest message in UTF-8 bytes of `data`. */
  readonly messageBytes: number;
  /** Which retention limits the log honours. */
  readonly retention: readonly (keyof Retention)[];
  /** What the queue can beyond the contract; absent without a queue. */
  readonly queue?: QueueCapabilities;
}

export interface QueueCapabilities {
  /** Jobs can be held back until a time. */
  readonly deliverAt: boolean;
  /** Jobs can expire. */
  readonly ttl: boolean;
  /** `done` stores results in the same transaction. */
  readonly results: boolean;
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

/** What a namespace will ask of a backbone. */
export interface NamespaceUse {
  /** `""` for channels without a prefix. */
  readonly namespace: string;
  readonly facets: readonly Facet[];
  /** How long its messages are to be kept; only with the facet `log`. */
  readonly retention: Retention;
}

/**
 * One broker. Constructing it does nothing; `open` connects and checks the broker's own settings, also those that concern the
 * given namespaces, and rejects with a `BackboneError` that names the culprit, the value and the way out. Other namespaces
 * may be used all the same; then what concerns them is checked when they are. `close` finishes what was begun, and leaves no
 * socket, timer or file open; calls after it reject. The facets may be used between the two only.
 */
export interface Backbone {
  readonly type: string;
  readonly capabilities: Capabilities;
  readonly bus?: Bus;
  readonly log?: Log;
  readonly cursors?: Cursors;
  readonly queue?: Queue;
  /** Present where the settings ask for it. */
  readonly ingest?: Ingest;
  open(uses?: readonly NamespaceUse[]): Promise<void>;
  close(): Promise<void>;
  /** Resolves while the broker answers; rejects with the reason otherwise. Cheap: it is called by the readiness probe. */
  check(): Promise<void>;
}
