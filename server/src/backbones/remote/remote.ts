/**
 * A backbone that lives in another process of this machine: the same contract, through a local socket. For the stores that belong
 * to one process (`memory`, `embedded`) where several processes serve clients.
 *
 * Connection: one local socket to the process that owns the store. When it breaks, it is made again, and what was subscribed to is
 * subscribed to again; meanwhile every call is refused at once. What one turn of the event loop calls leaves in one write.
 *
 * Delivery semantics: those of the store. A call that was under way when the connection broke, or is not answered in five seconds,
 * has an unknown outcome. Frames reach each process once, however many listen there; listeners hear `interrupted` after a new
 * connection, and when a process was so slow that frames were dropped for it.
 *
 * Capabilities: those of the store, and it is shared between the processes.
 *
 * Limits: one machine. 64 MiB of unanswered calls per process.
 */
import type { Clock } from "../../clock.ts";
import type {
  Backbone,
  Bus,
  Capabilities,
  Cursors,
  DeadLetters,
  Facet,
  Frame,
  FrameListener,
  Log,
  Queue,
} from "../contract.ts";
import { LocalBus } from "../local-bus.ts";
import { Link } from "./link.ts";
import { packAppend, unpackMessage } from "./packed.ts";
import type { Item } from "./wire.ts";
import { Wishes } from "./wishes.ts";

/** What is reached, as far as it is known without reaching it. */
export interface RemoteStore {
  readonly type: string;
  readonly capabilities: Capabilities;
  readonly facets: readonly Facet[];
}

const HINT = { kind: "signal", signal: "" } as const;
const INTERRUPTED = { kind: "interrupted" } as const;

export class RemoteBackbone implements Backbone {
  readonly type: string;
  readonly capabilities: Capabilities;
  readonly bus?: Bus;
  readonly log?: Log;
  readonly cursors?: Cursors;
  readonly queue?: Queue;
  readonly #link: Link;
  readonly #listeners = new LocalBus();
  readonly #channels: Wishes;
  readonly #watchers = new LocalBus();
  readonly #queues: Wishes;
  #connections = 0;

  /** `name` is the configuration's name for it, `place` the path of the owner's socket. */
  constructor(name: string, { type, capabilities, facets }: RemoteStore, place: string, clock: Clock) {
    this.type = type;
    this.capabilities = Object.freeze({ ...capabilities, shared: true });
    this.#link = new Link(name, place, clock, {
      connected: () => this.#connected(),
      told: (item) => this.#told(item),
    });
    this.#channels = new Wishes(this.#link, "bus.subscribe", "bus.unsubscribe");
    this.#queues = new Wishes(this.#link, "queue.watch", "queue.unwatch");
    if (facets.includes("bus")) this.bus = this.#makeBus();
    if (facets.includes("log")) this.log = logOver(this.#link);
    if (facets.includes("cursors")) this.cursors = cursorsOver(this.#link);
    if (facets.includes("queue")) this.queue = this.#makeQueue();
  }

  open(): Promise<void> {
    return this.#link.open();
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    this.#watchers.clear();
    await this.#link.close();
  }

  check(): Promise<void> {
    return this.#link.call("check");
  }

  #makeBus(): Bus {
    return {
      publish: (channel, frame) => this.#link.call("bus.publish", channel, frame),
      subscribe: (channel, listener) => this.#listen(this.#listeners, this.#channels, channel, listener),
    };
  }

  #makeQueue(): Queue {
    return {
      ...queueOver(this.#link),
      watch: (queue, listener) => this.#listen(this.#watchers, this.#queues, queue, listener),
    };
  }

  /** Adds a listener here, and sees to it that the owner tells this process. */
  async #listen(local: LocalBus, wishes: Wishes, name: string, listener: FrameListener): Promise<() => Promise<void>> {
    const off = local.add(name, listener);
    let stopped = false;
    const stop = async (): Promise<void> => {
      if (stopped) return;
      stopped = true;
      await off();
      if (!local.has(name)) await wishes.remove(name);
    };
    try {
      await wishes.add(name);
      return stop;
    } catch (error) {
      await stop();
      throw error;
    }
  }

  #told(item: Item): void {
    const [what, name, frame] = item;
    if (what === "message") this.#listeners.emit(String(name), unpackMessage(item));
    else if (what === "frame") this.#listeners.emit(String(name), frame as Frame);
    else if (what === "job") this.#watchers.emit(String(name), HINT);
    else if (what === "interrupted") this.#interrupted();
  }

  #connected(): void {
    // Before the first connection nobody has listened.
    if (this.#connections++ === 0) return;
    Promise.all([this.#channels.again(), this.#queues.again()]).then(
      () => this.#interrupted(),
      () => this.#link.reset(),
    );
  }

  #interrupted(): void {
    for (const channel of this.#channels.names) this.#listeners.emit(channel, INTERRUPTED);
    for (const queue of this.#queues.names) this.#watchers.emit(queue, HINT);
  }
}

function logOver(link: Link): Log {
  return {
    append: (channel, message, options) => link.call("log.append", ...packAppend(channel, message, options)),
    read: (channel, options) => link.call("log.read", channel, options),
    heads: (channels) => link.call("log.heads", channels),
    remove: (channel) => link.call("log.remove", channel),
    channels: (namespace, after) => link.call("log.channels", namespace, ...(after === undefined ? [] : [after])),
  };
}

function cursorsOver(link: Link): Cursors {
  return {
    claim: (key) => link.call("cursors.claim", key),
    write: (writes) => link.call("cursors.write", writes),
    forget: (key) => link.call("cursors.forget", key),
  };
}

function queueOver(link: Link): Omit<Queue, "watch"> {
  const dead: DeadLetters = {
    list: (queue, options) => link.call("queue.dead.list", queue, options),
    get: (queue, ids) => link.call("queue.dead.get", queue, ids),
    replay: (queue, ids) => link.call("queue.dead.replay", queue, ids),
    purge: (queue, ids) => link.call("queue.dead.purge", queue, ids),
  };
  return {
    dead,
    enqueue: (queue, job, options) => link.call("queue.enqueue", queue, job, options),
    lease: (queue, group, options) => link.call("queue.lease", queue, group, options),
    done: (queue, group, lease, results = []) => link.call("queue.done", queue, group, lease, results),
    fail: (queue, group, lease, failure) => link.call("queue.fail", queue, group, lease, failure),
    extend: (queue, group, lease, leaseMs) => link.call("queue.extend", queue, group, lease, leaseMs),
    held: (queue, group, lease) => link.call("queue.held", queue, group, lease),
    info: (queue) => link.call("queue.info", queue),
    pause: (queue, paused) => link.call("queue.pause", queue, paused),
    forget: (queue, group) => link.call("queue.forget", queue, group),
  };
}
