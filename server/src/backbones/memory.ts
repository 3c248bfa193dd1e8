/**
 * The in-process backbone and the reference model that the others are compared with.
 *
 * Connection: none. A `MemoryStore` may be handed to several backbones of one process, which then see the same messages.
 *
 * Delivery semantics: bus, log, cursors and queues in one event loop, so every subscriber sees a channel's messages in the order
 * of the log, and a job's results are stored together with its end. Nothing survives the process: each store has its own epoch.
 *
 * Capabilities: at-most-once, with history and resume while the process lives; deduplication within any window.
 *
 * Limits: what fits into memory. Beyond `bytes`, the channels that were written longest ago are emptied first; each keeps a
 * small record of where it stood, so that its offsets never repeat. Jobs and dead letters count as well, and are never
 * dropped: when they alone take all of it, no further job is taken (`full`).
 */
import { namespaceOf } from "@todoku/protocol";
import {
  BackboneError,
  type AppendOptions,
  type Appended,
  type Backbone,
  type Bus,
  type Capabilities,
  type ChannelPage,
  type ClaimedCursor,
  type Cursor,
  type CursorKey,
  type CursorOutcome,
  type Cursors,
  type CursorWrite,
  type Frame,
  type FrameListener,
  type Head,
  type Log,
  type Message,
  type Queue,
  type Range,
  type ReadOptions,
  type Retention,
  type StoredMessage,
} from "./contract.ts";
import type { Clock } from "../clock.ts";
import { movesBack, nextFence } from "./cursor-order.ts";
import { LocalBus } from "./local-bus.ts";
import { localQueue, type Incoming } from "./local-queue/facet.ts";
import { bytesOfJobs, MemoryQueueTables } from "./local-queue/memory-tables.ts";
import { SlidingList } from "./sliding-list.ts";

export interface MemorySettings {
  /** Most bytes of messages and jobs in all channels and queues together. Default 256 MiB. */
  readonly bytes?: number;
}

export const MEMORY_CAPABILITIES: Capabilities = Object.freeze({
  delivery: "at-most-once",
  durable: false,
  shared: false,
  announces: true,
  ordering: "channel",
  once: true,
  dedupeWindowMs: Number.MAX_SAFE_INTEGER,
  messageBytes: 64 * 1024 * 1024,
  retention: ["ageMs", "messages", "bytes"],
  queue: Object.freeze({ deliverAt: true, ttl: true, results: true }),
} satisfies Capabilities);

const DEFAULT_BYTES = 256 * 1024 * 1024;
/** What a message costs beside its data; without it, tiny messages would fill the memory unnoticed. */
const OVERHEAD_BYTES = 256;
/** Channels whose keys are looked through with each append that has a key. */
const KEYED_PER_APPEND = 2;

interface Kept extends StoredMessage {
  /** Of `data`. */
  readonly bytes: number;
}

interface Channel {
  readonly messages: SlidingList<Kept>;
  /** Of `data`. */
  bytes: number;
  head: number;
  trimmed: number;
  retention: Retention;
  /** Idempotency key → where it was stored and until when that is remembered; in the order of time. */
  readonly keys: Map<string, { readonly offset: number; readonly until: number }>;
}

interface HeldCursor {
  fence: number;
  cursor?: Cursor;
}

/** What instances of one process share. */
export class MemoryStore {
  readonly epoch: string;
  readonly channels: Map<string, Channel> = new Map();
  /** Those that hold messages, in the order of their last append. */
  readonly filled: Set<Channel> = new Set();
  /** Those that remember idempotency keys, in the order in which they were last looked through. */
  readonly keyed: Set<Channel> = new Set();
  readonly bus: LocalBus = new LocalBus();
  readonly cursors: Map<string, HeldCursor> = new Map();
  readonly queues: MemoryQueueTables = new MemoryQueueTables();
  readonly queueWatchers: LocalBus = new LocalBus();
  /** Of all messages, with what they cost beside their data. */
  bytes = 0;

  constructor(clock: Clock) {
    this.epoch = clock.uuid().slice(0, 8);
  }
}

export class MemoryBackbone implements Backbone {
  readonly type = "memory";
  readonly capabilities: Capabilities = MEMORY_CAPABILITIES;
  readonly bus: Bus;
  readonly log: Log;
  readonly cursors: Cursors;
  readonly queue: Queue;
  readonly #store: MemoryStore;
  readonly #clock: Clock;
  readonly #mostBytes: number;
  #open = false;

  constructor(settings: MemorySettings, clock: Clock, store: MemoryStore = new MemoryStore(clock)) {
    this.#store = store;
    this.#clock = clock;
    this.#mostBytes = settings.bytes ?? DEFAULT_BYTES;
    this.bus = {
      publish: async (channel, frame) => this.#emit(channel, frame),
      subscribe: async (channel, listener) => this.#subscribe(channel, listener),
    };
    this.log = {
      append: async (channel, message, options) => this.#append(channel, message, options),
      read: async (channel, options) => this.#read(channel, options),
      heads: async (channels) => channels.map((channel) => this.#head(channel)),
      remove: async (channel) => this.#remove(channel),
      channels: async (namespace) => this.#channelsOf(namespace),
    };
    this.cursors = {
      claim: async (key) => this.#claim(key),
      write: async (writes) => {
        this.#mustBeOpen();
        return writes.map((write) => this.#write(write));
      },
      forget: async (key) => this.#forget(key),
    };
    this.queue = localQueue(
      {
        tables: () => {
          this.#mustBeOpen();
          return this.#store.queues;
        },
        write: async (work, committed) => {
          const result = work();
          committed?.(result);
          return result;
        },
        mustHaveRoom: (incoming) => this.#mustHaveRoom(incoming),
        // One turn of the event loop is a transaction: nobody sees the announcement before the rest.
        append: (channel, message, options) => {
          this.#append(channel, message, options);
          return () => {};
        },
      },
      clock,
      store.queueWatchers,
    );
  }

  async open(): Promise<void> {
    this.#open = true;
  }

  async close(): Promise<void> {
    this.#open = false;
    this.#store.bus.clear(this);
  }

  async check(): Promise<void> {
    this.#mustBeOpen();
  }

  #mustBeOpen(): void {
    if (!this.#open) throw new BackboneError("unavailable", "[memory] the backbone is closed");
  }

  // ── bus ────────────────────────────────────────────────────────────────────

  #emit(channel: string, frame: Frame): void {
    this.#mustBeOpen();
    this.#store.bus.emit(channel, frame);
  }

  #subscribe(channel: string, listener: FrameListener): () => Promise<void> {
    this.#mustBeOpen();
    return this.#store.bus.add(channel, listener, this);
  }

  // ── log ────────────────────────────────────────────────────────────────────

  #append(name: string, message: Message, { retention, dedupe }: AppendOptions): Appended {
    this.#mustBeOpen();
    const { epoch, filled, keyed } = this.#store;
    const now = this.#clock.now();
    const channel = this.#channel(name);
    if (dedupe) {
      this.#forgetKeys(now);
      const known = channel.keys.get(dedupe.key);
      if (known && known.until > now) return { epoch, offset: known.offset, duplicate: true };
    }
    const prev = channel.head;
    const offset = prev + 1;
    const bytes = Buffer.byteLength(message.data);
    channel.messages.push({ ...message, offset, bytes });
    channel.bytes += bytes;
    channel.head = offset;
    channel.retention = retention;
    this.#store.bytes += bytes + OVERHEAD_BYTES;
    filled.delete(channel);
    filled.add(channel);
    if (dedupe) {
      // Deleted first: an old key's new end belongs at the end of the order.
      channel.keys.delete(dedupe.key);
      channel.keys.set(dedupe.key, { offset, until: now + dedupe.windowMs });
      keyed.add(channel);
    }
    this.#trim(channel, now);
    this.#evict(channel);
    this.#emit(name, { kind: "message", message, position: { epoch, offset }, prev });
    return { epoch, offset, duplicate: false };
  }

  #read(name: string, { after, limit, maxBytes = Number.POSITIVE_INFINITY, reverse = false }: ReadOptions): Range {
    this.#mustBeOpen();
    const channel = this.#store.channels.get(name);
    if (!channel) return { epoch: this.#store.epoch, messages: [], head: 0, trimmed: 0 };
    this.#trim(channel, this.#clock.now());
    const { messages, head, trimmed } = channel;
    const from = after ?? (reverse ? head + 1 : 0);
    // Offsets are contiguous here, so that a place in the ring follows from an offset.
    const first = head - messages.length + 1;
    const found: StoredMessage[] = [];
    let bytes = 0;
    const step = reverse ? -1 : 1;
    const begin = reverse ? Math.min(from - 1, head) : Math.max(from + 1, first);
    for (let at = begin - first; found.length < limit && bytes < maxBytes; at += step) {
      const kept = messages.at(at);
      if (!kept) break;
      const { bytes: size, ...message } = kept;
      found.push(message);
      bytes += size;
    }
    return { epoch: this.#store.epoch, messages: found, head, trimmed };
  }

  #head(name: string): Head {
    this.#mustBeOpen();
    const { head = 0, trimmed = 0 } = this.#store.channels.get(name) ?? {};
    return { epoch: this.#store.epoch, offset: head, trimmed };
  }

  #remove(name: string): void {
    this.#mustBeOpen();
    const channel = this.#store.channels.get(name);
    if (channel) this.#empty(channel);
  }

  #channelsOf(namespace: string): ChannelPage {
    this.#mustBeOpen();
    const all = [...this.#store.channels];
    return {
      channels: all.flatMap(([name, { messages }]) =>
        messages.length > 0 && namespaceOf(name) === namespace ? [name] : [],
      ),
    };
  }

  #channel(name: string): Channel {
    const known = this.#store.channels.get(name);
    if (known) return known;
    const made: Channel = {
      messages: new SlidingList(),
      bytes: 0,
      head: 0,
      trimmed: 0,
      retention: {},
      keys: new Map(),
    };
    this.#store.channels.set(name, made);
    return made;
  }

  #trim(channel: Channel, now: number): void {
    const { ageMs, messages = Number.POSITIVE_INFINITY, bytes = Number.POSITIVE_INFINITY } = channel.retention;
    for (let oldest = channel.messages.at(0); oldest; oldest = channel.messages.at(0)) {
      const newest = channel.messages.length === 1;
      const tooMany = !newest && (channel.messages.length > messages || channel.bytes > bytes);
      const tooOld = ageMs !== undefined && now - oldest.time > ageMs;
      if (!tooMany && !tooOld) return;
      this.#dropOldest(channel);
    }
  }

  #dropOldest(channel: Channel): void {
    const dropped = channel.messages.shift();
    if (!dropped) return;
    channel.bytes -= dropped.bytes;
    channel.trimmed = dropped.offset;
    this.#store.bytes -= dropped.bytes + OVERHEAD_BYTES;
    if (channel.messages.length === 0) this.#store.filled.delete(channel);
  }

  #empty(channel: Channel): void {
    while (channel.messages.length > 0) this.#dropOldest(channel);
  }

  /** Keeps everything together below the cap. The newest message stays whatever its size. */
  #evict(written: Channel): void {
    this.#makeRoom(0, written);
    while (this.#bytes > this.#mostBytes && written.messages.length > 1) this.#dropOldest(written);
  }

  /** Empties channels until so many bytes fit, save the one that is written to. */
  #makeRoom(bytes: number, written?: Channel): void {
    for (const channel of this.#store.filled) {
      if (this.#bytes + bytes <= this.#mostBytes) return;
      if (channel !== written) this.#empty(channel);
    }
  }

  get #bytes(): number {
    return this.#store.bytes + this.#store.queues.bytes;
  }

  /** Jobs are never dropped for others, so there must be room beside those that wait; messages make room for themselves. */
  #mustHaveRoom({ jobs, ends }: Incoming): void {
    const more = bytesOfJobs(jobs) - (ends ? bytesOfJobs([ends]) : 0);
    if (jobs.length === 0 || more <= 0) return;
    const waiting = this.#store.queues.bytes;
    if (waiting + more > this.#mostBytes) {
      throw new BackboneError(
        "full",
        `[memory] waiting jobs and dead letters take ${waiting} of the ${this.#mostBytes} bytes that may be kept. ` +
          "Start more workers, purge dead letters, or raise the backbone's bytes",
      );
    }
    this.#makeRoom(more);
  }

  /** Looks through a few channels, in turn: the keys of channels that nobody writes to any more are forgotten as well. */
  #forgetKeys(now: number): void {
    const { keyed } = this.#store;
    let left = KEYED_PER_APPEND;
    for (const channel of keyed) {
      if (left-- === 0) return;
      forgetKeys(channel, now);
      keyed.delete(channel);
      if (channel.keys.size > 0) keyed.add(channel);
    }
  }

  // ── cursors ────────────────────────────────────────────────────────────────

  #claim(key: CursorKey): ClaimedCursor {
    this.#mustBeOpen();
    const held = this.#held(key);
    held.fence = nextFence(held.fence, this.#clock.now());
    return { fence: held.fence, ...(held.cursor && { cursor: held.cursor }) };
  }

  #write({ key, fence, cursor }: CursorWrite): CursorOutcome {
    this.#mustBeOpen();
    const held = this.#held(key);
    if (fence < held.fence) return "fenced";
    held.fence = fence;
    if (!movesBack(held.cursor, cursor)) held.cursor = cursor;
    return "stored";
  }

  #forget(key: CursorKey): void {
    this.#mustBeOpen();
    delete this.#held(key).cursor;
  }

  #held({ channel, user, name }: CursorKey): HeldCursor {
    const id = JSON.stringify([channel, user, name]);
    const held = this.#store.cursors.get(id) ?? { fence: 0 };
    this.#store.cursors.set(id, held);
    return held;
  }
}

function forgetKeys({ keys }: Channel, now: number): void {
  for (const [key, { until }] of keys) {
    if (until > now) return;
    keys.delete(key);
  }
}
