/**
 * The durable log in the gateway's own process, and the default.
 *
 * Connection: a folder, owned by one process at a time. LMDB maps its file into memory; a crash of the process or of the
 * machine leaves the last committed transaction.
 *
 * Delivery semantics: the appends, cursor moves, removals and whatever happens to jobs in one turn of the event loop are one
 * transaction, with their idempotency keys, and are answered and announced on the bus only after it is on disk. So nobody ever sees a
 * message that a power loss could take back. The epoch is made with the store and stays with it, unless the folder was brought back
 * from a backup: then `restored.ts` begins one that forks from it.
 *
 * Capabilities: exactly-once within a deduplication window of up to 30 days; retention by age, count and bytes; a job's
 * results are stored in the transaction that ends it.
 *
 * Limits: one process. Committing blocks the event loop for as long as the disk takes to flush, once per turn however
 * many messages there are. A full disk refuses what is to be written; reading goes on.
 */
import type { Clock } from "../../clock.ts";
import {
  BackboneError,
  type AppendOptions,
  type Appended,
  type Backbone,
  type Bus,
  type Capabilities,
  type ClaimedCursor,
  type CursorKey,
  type CursorOutcome,
  type Cursors,
  type CursorWrite,
  type Frame,
  type FrameListener,
  type Log,
  type Message,
  type Queue,
  type Range,
  type ReadOptions,
} from "../contract.ts";
import { LocalBus } from "../local-bus.ts";
import { bytesOf, localQueue } from "../local-queue/facet.ts";
import { EMBEDDED_CAPABILITIES } from "./capabilities.ts";
import { GroupCommit } from "./group-commit.ts";
import { ownFolder } from "./owner.ts";
import { Room } from "./room.ts";
import { Store } from "./store.ts";
import { appendRow, channelsOf, claimCursor, forgetCursor, readRange, removeMessages, writeCursor } from "./rows.ts";
import { Sweeper } from "./sweeper.ts";

export interface EmbeddedSettings {
  /** The data folder; made if it is missing. */
  readonly path: string;
  /** Most bytes that messages, keys and cursors may take on disk. Default: as many as fit. */
  readonly maxSize?: number;
}

interface Opened {
  readonly store: Store;
  readonly room: Room;
  readonly commits: GroupCommit;
  readonly sweeper: Sweeper;
}

export class EmbeddedBackbone implements Backbone {
  readonly type = "embedded";
  readonly capabilities: Capabilities = EMBEDDED_CAPABILITIES;
  readonly bus: Bus;
  readonly log: Log;
  readonly cursors: Cursors;
  readonly queue: Queue;
  readonly #name: string;
  readonly #settings: EmbeddedSettings;
  readonly #clock: Clock;
  readonly #listeners = new LocalBus();
  #opened: Opened | undefined;
  #giveBack: (() => Promise<void>) | undefined;

  constructor(name: string, settings: EmbeddedSettings, clock: Clock) {
    this.#name = name;
    this.#settings = settings;
    this.#clock = clock;
    this.bus = {
      publish: async (channel, frame) => this.#publish(channel, frame),
      subscribe: async (channel, listener) => this.#subscribe(channel, listener),
    };
    this.log = {
      append: (channel, message, options) => this.#append(channel, message, options),
      read: async (channel, options) => this.#read(channel, options),
      heads: async (channels) => {
        const { store } = this.#open();
        return channels.map((channel) => {
          const { head = 0, trimmed = 0 } = store.channels.get(channel) ?? {};
          return { ...store.lineage(channel), offset: head, trimmed };
        });
      },
      remove: (channel) => this.#write((store) => removeMessages(store, channel)),
      channels: async (namespace, after) => channelsOf(this.#open().store, namespace, after),
    };
    this.cursors = {
      claim: (key: CursorKey): Promise<ClaimedCursor> =>
        this.#write((store) => claimCursor(store, key, this.#clock.now())),
      write: async (writes: readonly CursorWrite[]): Promise<CursorOutcome[]> =>
        this.#write((store) => writes.map((write) => writeCursor(store, write))),
      forget: (key: CursorKey) => this.#write((store) => forgetCursor(store, key)),
    };
    this.queue = localQueue(
      {
        tables: () => this.#open().store.queues,
        write: async (work, committed) => this.#open().commits.run(work, committed),
        mustHaveRoom: ({ jobs, messages }) => this.#open().room.take(bytesOf([...jobs, ...messages])),
        append: (channel, message, options) => {
          const stored = appendRow(this.#open().store, channel, message, options, this.#clock.now());
          return () => this.#announce(channel, message, stored);
        },
      },
      clock,
    );
  }

  async open(): Promise<void> {
    const { path } = this.#settings;
    this.#giveBack = await ownFolder(this.#name, path);
    try {
      const store = await Store.open(this.#name, path, () => this.#clock.uuid().slice(0, 8));
      const room = new Room(store, { name: this.#name, folder: path, maxSize: this.#settings.maxSize });
      const commits = new GroupCommit(store, this.#clock, this.#name, () => room.forget());
      this.#opened = { store, room, commits, sweeper: new Sweeper(store, commits, this.#clock) };
    } catch (error) {
      await this.#giveBack();
      throw error;
    }
    this.#opened.sweeper.start();
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    if (!opened) return;
    opened.sweeper.stop();
    opened.commits.flush();
    this.#opened = undefined;
    this.#listeners.clear();
    await opened.store.root.close();
    await this.#giveBack?.();
  }

  async check(): Promise<void> {
    this.#open();
  }

  #open(): Opened {
    if (!this.#opened) throw new BackboneError("unavailable", `[${this.#name}] the backbone is closed`);
    return this.#opened;
  }

  async #write<T>(work: (store: Store) => T): Promise<T> {
    const { store, commits } = this.#open();
    return commits.run(() => work(store));
  }

  #publish(channel: string, frame: Frame): void {
    this.#open();
    this.#listeners.emit(channel, frame);
  }

  #subscribe(channel: string, listener: FrameListener): () => Promise<void> {
    this.#open();
    return this.#listeners.add(channel, listener);
  }

  async #append(channel: string, message: Message, options: AppendOptions): Promise<Appended> {
    const { store, room, commits } = this.#open();
    const now = this.#clock.now();
    return commits.run(
      () => appendRow(store, channel, message, options, now, room),
      // Announced in the order of the log, before anything else runs.
      (appended) => this.#announce(channel, message, appended),
    );
  }

  #announce(channel: string, message: Message, { epoch, offset, duplicate }: Appended): void {
    if (duplicate) return;
    this.#listeners.emit(channel, { kind: "message", message, position: { epoch, offset }, prev: offset - 1 });
  }

  #read(channel: string, options: ReadOptions): Range {
    return readRange(this.#open().store, channel, options);
  }
}
