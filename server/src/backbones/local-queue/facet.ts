/** The queue facet of a store in the gateway's own process: what is the same for all of them around the rows. */
import type { Clock } from "../../clock.ts";
import type { AppendOptions, DeadLetters, FailOutcome, LeaseOutcome, Message, Queue, Result } from "../contract.ts";
import { LocalBus } from "../local-bus.ts";
import { LocalQueue } from "./local-queue.ts";
import type { QueueTables } from "./tables.ts";

/** What the store offers. Each of these throws once the backbone is closed. */
export interface QueueStore {
  tables(): QueueTables;
  /** Runs `work` in a transaction, and `committed` once that is stored, in the order of the transactions. */
  write<T>(work: () => T, committed?: (result: T) => void): Promise<T>;
  /** Throws if there is no room for this. */
  mustHaveRoom(incoming: Incoming): void;
  /** Appends to a channel's log in the present transaction; returns how to announce it afterwards. */
  append(channel: string, message: Message, options: AppendOptions): () => void;
}

const HINT = { kind: "signal", signal: "" } as const;

/** What a transaction is to store. */
export interface Incoming {
  readonly jobs: readonly Message[];
  /** For the logs of channels. */
  readonly messages: readonly Message[];
  /** The job that goes with it, if no other group wants it. */
  readonly ends?: Message;
}

/** `watchers` may be shared by several instances on one store. */
export function localQueue(store: QueueStore, clock: Clock, watchers: LocalBus = new LocalBus()): Queue {
  const rows = (): LocalQueue => new LocalQueue(store.tables());
  const tell = (queue: string): void => watchers.emit(queue, HINT);

  /** Stores a result, and returns how to announce it. */
  const storeResult = (result: Result): (() => void) => {
    if ("channel" in result) return store.append(result.channel, result.message, result.options);
    const { duplicate } = rows().enqueue(result.queue, result.message, result.options, clock.now());
    return () => {
      if (!duplicate) tell(result.queue);
    };
  };

  const done = async (
    queue: string,
    group: string,
    lease: string,
    results: readonly Result[],
  ): Promise<LeaseOutcome> => {
    const announcements: (() => void)[] = [];
    return store.write(
      () => {
        const ends = results.length > 0 ? rows().held(queue, group, lease, clock.now())?.job : undefined;
        if (ends) {
          const messages = results.filter((result) => "channel" in result).map(({ message }) => message);
          const jobs = results.filter((result) => "queue" in result).map(({ message }) => message);
          store.mustHaveRoom({ messages, jobs, ends });
        }
        const storeResults = (): void => {
          for (const result of results) announcements.push(storeResult(result));
        };
        return rows().done(queue, group, lease, storeResults, clock.now());
      },
      () => {
        for (const announce of announcements) announce();
      },
    );
  };

  const dead: DeadLetters = {
    list: async (queue, { limit, after }) => rows().listDead(queue, after, limit),
    get: async (queue, ids) => rows().getDead(queue, ids),
    replay: async (queue, ids) =>
      store.write(
        () => rows().replay(queue, ids, clock.now()),
        () => tell(queue),
      ),
    purge: async (queue, ids) => store.write(() => rows().purge(queue, ids)),
  };

  return {
    dead,
    enqueue: async (queue, job, options) =>
      store.write(
        () => rows().enqueue(queue, job, options, clock.now(), () => store.mustHaveRoom({ jobs: [job], messages: [] })),
        ({ duplicate }) => {
          if (!duplicate) tell(queue);
        },
      ),
    lease: async (queue, group, options) => {
      const nonce = clock.uuid();
      return store.write(() => rows().lease(queue, group, options, nonce, clock.now()));
    },
    done: (queue, group, lease, results = []) => done(queue, group, lease, results),
    fail: async (queue, group, lease, failure): Promise<FailOutcome> =>
      store.write(
        () => rows().fail(queue, group, lease, failure, clock.now()),
        (outcome) => {
          if (outcome === "again" && failure.untried === true) tell(queue);
        },
      ),
    extend: async (queue, group, lease, leaseMs) =>
      store.write(() => rows().extend(queue, group, lease, leaseMs, clock.now())),
    held: async (queue, group, lease) => rows().held(queue, group, lease, clock.now()),
    watch: async (queue, listener) => {
      store.tables();
      return watchers.add(queue, listener);
    },
    info: async (queue) => rows().info(queue, clock.now()),
    pause: async (queue, paused) =>
      store.write(
        () => rows().pause(queue, paused),
        () => tell(queue),
      ),
    forget: async (queue, group) => store.write(() => rows().forget(queue, group, clock.now())),
  };
}

/** Of the messages' data, in UTF-8. */
export function bytesOf(messages: readonly Message[]): number {
  return messages.reduce((sum, { data }) => sum + Buffer.byteLength(data), 0);
}
