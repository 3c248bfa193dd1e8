/** The channels that this gateway follows, each by one feed however many subscribe to it. */
import { ERRORS, TodokuError } from "@todoku/protocol";
import type { Log } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import { Feed } from "./feed.ts";
import { LogReads } from "./log-reads.ts";
import type { GatewayObserver } from "./observer.ts";

interface Entry {
  readonly feed: Feed;
  /** Absent once it is open: there may be very many. */
  opening: Promise<void> | undefined;
  users: number;
  cancelClose: (() => void) | undefined;
}

/** A feed outlives its last subscriber by so long, so that a reconnect finds it attached. */
const LINGER_MS = 5000;
const BEACON_BATCH = 500;

export class Hub {
  readonly #clock: Clock;
  readonly #observer: GatewayObserver;
  readonly #beaconMs: number;
  readonly #logReads: LogReads;
  readonly #entries = new Map<string, Entry>();
  #stopped = false;
  #cancelBeacon: (() => void) | undefined;

  constructor(clock: Clock, observer: GatewayObserver, beaconMs: number) {
    this.#clock = clock;
    this.#observer = observer;
    this.#beaconMs = beaconMs;
    this.#logReads = new LogReads(clock);
  }

  start(): void {
    this.#cancelBeacon = this.#clock.after(this.#beaconMs, () => {
      void this.#beacon().finally(() => {
        if (this.#cancelBeacon) this.start();
      });
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelBeacon?.();
    this.#cancelBeacon = undefined;
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    for (const entry of entries) entry.cancelClose?.();
    await Promise.allSettled(entries.map(({ feed }) => feed.close()));
  }

  /**
   * Follows the channel; `release` must be called once for every success.
   *
   * @throws TodokuError 402 when the backbone cannot be reached, or the hub was stopped.
   */
  async attach(channel: string, namespace: Namespace): Promise<Feed> {
    if (this.#stopped) throw new TodokuError(ERRORS.backboneUnavailable);
    let entry = this.#entries.get(channel);
    if (!entry) {
      const feed = new Feed(channel, namespace, this.#clock, this.#observer, this.#logReads);
      entry = { feed, opening: undefined, users: 0, cancelClose: undefined };
      this.#entries.set(channel, entry);
      entry.opening = this.#open(entry);
    }
    entry.users++;
    entry.cancelClose?.();
    entry.cancelClose = undefined;
    await entry.opening;
    return entry.feed;
  }

  release(feed: Feed): void {
    const entry = this.#entries.get(feed.channel);
    if (entry?.feed !== feed) return;
    entry.users--;
    if (entry.users > 0) return;
    entry.cancelClose = this.#clock.after(LINGER_MS, () => {
      this.#entries.delete(feed.channel);
      feed.close().catch((error: unknown) => this.#observer.backboneFailed(feed.namespace, "unsubscribe", error));
    });
  }

  /** A feed that could not be opened is gone, for all who wait for it: the next attach tries anew. */
  async #open(entry: Entry): Promise<void> {
    const { feed } = entry;
    try {
      await feed.open();
      entry.opening = undefined;
    } catch (error) {
      this.#observer.backboneFailed(feed.namespace, "subscribe", error);
      if (this.#entries.get(feed.channel)?.feed === feed) this.#entries.delete(feed.channel);
      await feed.close().catch(() => {});
      throw new TodokuError(ERRORS.backboneUnavailable, undefined, { cause: error });
    }
  }

  feed(channel: string): Feed | undefined {
    return this.#entries.get(channel)?.feed;
  }

  /** The feeds that somebody is subscribed to. */
  *feeds(): Iterable<Feed> {
    for (const { feed } of this.#entries.values()) if (feed.receivers.size > 0) yield feed;
  }

  /** A lost last message has no successor that would show it: compare where the feeds stand with the heads of the log. */
  async #beacon(): Promise<void> {
    const byLog = new Map<Log, Feed[]>();
    for (const feed of this.feeds()) {
      const { log } = feed.namespace;
      if (!log) continue;
      const feeds = byLog.get(log);
      if (feeds) feeds.push(feed);
      else byLog.set(log, [feed]);
    }
    for (const [log, feeds] of byLog) {
      for (let i = 0; i < feeds.length; i += BEACON_BATCH) await this.#compare(log, feeds.slice(i, i + BEACON_BATCH));
    }
  }

  async #compare(log: Log, feeds: readonly Feed[]): Promise<void> {
    try {
      const heads = await log.heads(feeds.map(({ channel }) => channel));
      feeds.forEach((feed, i) => {
        const head = heads[i];
        if (head) feed.compare(head);
      });
    } catch (error) {
      this.#observer.backboneFailed(feeds[0]?.namespace, "heads", error);
    }
  }
}
