/**
 * The ingest stream: `XADD todoku:ingest * channel chat:42 data '{"text":"hi"}'` from any program, shared out to the gateways
 * by a consumer group. An entry stays in the stream until it is published; those of a gateway that died are claimed by another.
 */
import type { Redis } from "ioredis";
import type { Clock } from "../../../clock.ts";
import type { Ingest, IngestEntry, IngestVerdict } from "../../contract.ts";
import { asBackboneError } from "../failure.ts";
import type { RedisServers } from "../servers.ts";

type Deliver = (entry: IngestEntry) => Promise<IngestVerdict>;
type Fields = readonly string[];
/** As Redis answers; the fields are absent for an entry that was removed meanwhile. */
type Entry = readonly [id: string, fields: Fields | null];

const GROUP = "todoku";
const BATCH = 200;
const BLOCK_MS = 1000;
/** Longer than publishing one can take: who has had an entry for so long has failed, or is dead. */
const CLAIM_AFTER_MS = 15_000;
const CLAIM_EVERY_MS = 5000;
const RETRY_MS = 500;
const MOST_REJECTED = 1000;
/** A consumer that was not heard of for so long, and has nothing in hand, is a gateway that is gone. */
const FORGET_MS = 3_600_000;

export class RedisIngest implements Ingest {
  readonly #name: string;
  readonly #servers: RedisServers;
  readonly #prefix: string;
  readonly #clock: Clock;

  /** `name` is the backbone's configured name. */
  constructor(name: string, servers: RedisServers, prefix: string, clock: Clock) {
    this.#name = name;
    this.#servers = servers;
    this.#prefix = prefix;
    this.#clock = clock;
  }

  /** @throws BackboneError when the stream's group cannot be made. */
  async start(deliver: Deliver): Promise<() => Promise<void>> {
    const consumer = new Consumer(this.#servers, this.#prefix, this.#clock, deliver);
    try {
      await consumer.makeGroup();
    } catch (error) {
      throw asBackboneError(this.#name, error, "read");
    }
    const ended = consumer.run();
    return async () => {
      consumer.stop();
      await ended;
    };
  }
}

/** One gateway's share of the stream. */
class Consumer {
  readonly #servers: RedisServers;
  readonly #stream: string;
  readonly #rejected: string;
  readonly #clock: Clock;
  readonly #deliver: Deliver;
  readonly #name: string;
  #reader: Reader | undefined;
  #claimed = 0;
  #stopped = false;
  #wake: (() => void) | undefined;

  constructor(servers: RedisServers, prefix: string, clock: Clock, deliver: Deliver) {
    this.#servers = servers;
    this.#stream = `${prefix}ingest`;
    this.#rejected = `${prefix}ingest:rejected`;
    this.#clock = clock;
    this.#deliver = deliver;
    this.#name = clock.uuid();
  }

  /** The group begins with the first entry there is: what came before any gateway ran is published too. */
  async makeGroup(): Promise<void> {
    try {
      await this.#holderOf(this.#stream).xgroup("CREATE", this.#stream, GROUP, "0", "MKSTREAM");
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith("BUSYGROUP"))) throw error;
    }
  }

  /** Resolves after `stop`, when nothing is under way any more. Never rejects. */
  async run(): Promise<void> {
    while (!this.#stopped) {
      try {
        if (await this.#fetch()) continue;
      } catch (error) {
        this.#letGo();
        void this.#servers.refresh().catch(() => {});
        if (error instanceof Error && error.message.startsWith("NOGROUP")) await this.makeGroup().catch(() => {});
      }
      // What failed is claimed again later: no hurry to fetch more that may fail.
      if (!this.#stopped) await this.#pause();
    }
    this.#letGo();
    await this.#leave();
  }

  stop(): void {
    this.#stopped = true;
    this.#wake?.();
    // Ends the waiting for entries.
    this.#letGo();
  }

  /** Returns whether all that was fetched is published. */
  async #fetch(): Promise<boolean> {
    const { redis } = await this.#connected();
    let published = true;
    if (this.#clock.now() - this.#claimed >= CLAIM_EVERY_MS) {
      this.#claimed = this.#clock.now();
      published = await this.#handle(await claim(redis, this.#stream, this.#name), true);
      await forgetConsumers(redis, this.#stream);
    }
    const fresh = await read(redis, this.#stream, this.#name);
    return (await this.#handle(fresh, false)) && published;
  }

  async #handle(entries: readonly Entry[], again: boolean): Promise<boolean> {
    const outcomes = await Promise.allSettled(
      entries.map(async ([id, fields]) => {
        const verdict = fields === null ? "taken" : await this.#deliver(entryOf(id, fields, again));
        if (verdict !== "taken") await this.#setAside(id, fields ?? [], verdict.refused);
        await this.#holderOf(this.#stream).multi().xack(this.#stream, GROUP, id).xdel(this.#stream, id).exec();
      }),
    );
    return outcomes.every(({ status }) => status === "fulfilled");
  }

  async #setAside(id: string, fields: Fields, reason: string): Promise<void> {
    const about = ["entry", id, "reason", reason];
    await this.#holderOf(this.#rejected).xadd(this.#rejected, "MAXLEN", "~", MOST_REJECTED, "*", ...about, ...fields);
  }

  /** A connection of its own, for it waits for entries: to the server that holds the stream now. */
  async #connected(): Promise<Reader> {
    const { name } = this.#servers.nodeOf(this.#stream);
    if (this.#reader?.node === name && this.#reader.redis.status === "ready") return this.#reader;
    this.#letGo();
    const redis = this.#servers.connectionTo(name, "ingest");
    redis.on("error", () => {});
    this.#reader = { node: name, redis };
    await redis.connect();
    return this.#reader;
  }

  #letGo(): void {
    this.#reader?.redis.disconnect();
    this.#reader = undefined;
  }

  #holderOf(key: string): Redis {
    return this.#servers.nodeOf(key).redis;
  }

  /** A consumer that goes with entries in hand leaves them to be claimed; deleting it would lose them. */
  async #leave(): Promise<void> {
    try {
      const redis = this.#holderOf(this.#stream);
      const inHand = await redis.xpending(this.#stream, GROUP, "-", "+", 1, this.#name);
      if (inHand.length === 0) await redis.xgroup("DELCONSUMER", this.#stream, GROUP, this.#name);
    } catch {
      // Another gateway forgets it.
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(RETRY_MS, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

interface Reader {
  readonly node: string;
  readonly redis: Redis;
}

async function read(redis: Redis, stream: string, consumer: string): Promise<readonly Entry[]> {
  const limits = ["COUNT", BATCH, "BLOCK", BLOCK_MS] as const;
  const answer = await redis.xreadgroup("GROUP", GROUP, consumer, ...limits, "STREAMS", stream, ">");
  return (answer as readonly (readonly [string, Entry[]])[] | null)?.[0]?.[1] ?? [];
}

async function claim(redis: Redis, stream: string, consumer: string): Promise<readonly Entry[]> {
  const answer = await redis.call("XAUTOCLAIM", stream, GROUP, consumer, CLAIM_AFTER_MS, "0-0", "COUNT", BATCH);
  return (answer as readonly [string, Entry[]])[1];
}

async function forgetConsumers(redis: Redis, stream: string): Promise<void> {
  for (const consumer of (await redis.call("XINFO", "CONSUMERS", stream, GROUP)) as readonly Fields[]) {
    const { name = "", pending, idle } = pairsOf(consumer);
    if (Number(pending) === 0 && Number(idle) > FORGET_MS) await redis.xgroup("DELCONSUMER", stream, GROUP, name);
  }
}

function entryOf(id: string, fields: Fields, again: boolean): IngestEntry {
  const { channel, data, key, tags } = pairsOf(fields);
  return {
    id,
    again,
    ...(channel !== undefined && { channel }),
    ...(data !== undefined && { data }),
    ...(key !== undefined && { key }),
    ...(tags !== undefined && { tags }),
  };
}

function pairsOf(fields: readonly (string | number)[]): Partial<Record<string, string>> {
  const pairs: [string, string][] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) pairs.push([String(fields[i]), String(fields[i + 1])]);
  return Object.fromEntries(pairs);
}
