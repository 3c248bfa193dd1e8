/**
 * Calls of scripts, gathered per server: those of one turn leave in one pipeline. Where replicas must confirm, what writes
 * goes another way: one pipeline at a time, ended by one WAIT, on a connection of its own, so that replicas that do not answer
 * hold up neither reads nor more than one pipeline. A call that certainly did nothing because its key is held elsewhere is
 * made again for a while.
 */
import type { ChainableCommander, Redis } from "ioredis";
import { BackboneError } from "../../contract.ts";
import { asBackboneError, isElsewhere } from "../failure.ts";
import type { Node, RedisServers } from "../servers.ts";
import { withinTime } from "../within-time.ts";
import type { Script } from "./script.ts";

interface Call {
  readonly script: Script;
  readonly keys: readonly [string, ...string[]];
  readonly args: readonly (string | number)[];
  readonly until: number;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: BackboneError) => void;
}

/** How replicas confirm; absent: they need not. */
export interface Confirmation {
  readonly replicas: number;
  readonly withinMs: number;
}

/** The writes to one server that its replicas must confirm. */
interface ConfirmedWrites {
  readonly redis: Redis;
  readonly connected: Promise<unknown>;
  waiting: Call[];
  sending: boolean;
}

/** How long a call is made again while its key moves. */
const MOVING_MS = 4000;
const CONNECT_MS = 3000;
const AGAIN_MS = 100;
const MOST_IN_PIPELINE = 500;

export class ScriptCalls {
  readonly #name: string;
  readonly #servers: RedisServers;
  readonly #confirmation: Confirmation | undefined;
  readonly #confirmed = new Map<string, ConfirmedWrites>();
  #waiting: Call[] = [];

  constructor(name: string, servers: RedisServers, confirmation: Confirmation | undefined) {
    this.#name = name;
    this.#servers = servers;
    this.#confirmation = confirmation;
  }

  /** All keys share a hash tag. @throws BackboneError. */
  run(script: Script, keys: readonly [string, ...string[]], args: readonly (string | number)[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#add({ script, keys, args, until: Date.now() + MOVING_MS, resolve, reject });
    });
  }

  close(): void {
    for (const { redis } of this.#confirmed.values()) redis.disconnect();
    this.#confirmed.clear();
  }

  #add(call: Call): void {
    if (this.#waiting.push(call) === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const calls = this.#waiting;
    this.#waiting = [];
    const byNode = new Map<Node, Call[]>();
    for (const call of calls) {
      try {
        const node = this.#servers.nodeOf(call.keys[0]);
        if (this.#confirmation && call.script.writes) {
          this.#confirmedWrites(node, this.#confirmation).waiting.push(call);
          continue;
        }
        const ofNode = byNode.get(node);
        if (ofNode) ofNode.push(call);
        else byNode.set(node, [call]);
      } catch (error) {
        this.#again(call, error);
      }
    }
    for (const [{ redis }, ofNode] of byNode) {
      for (let i = 0; i < ofNode.length; i += MOST_IN_PIPELINE)
        void this.#send(redis, ofNode.slice(i, i + MOST_IN_PIPELINE), undefined);
    }
  }

  #confirmedWrites({ name }: Node, confirmation: Confirmation): ConfirmedWrites {
    let writes = this.#confirmed.get(name);
    if (!writes) {
      this.#forgetOthers();
      const redis = this.#servers.connectionTo(name, "confirm");
      redis.on("error", () => {});
      writes = {
        redis,
        connected: withinTime(redis.connect(), CONNECT_MS).catch(() => {}),
        waiting: [],
        sending: false,
      };
      this.#confirmed.set(name, writes);
    }
    if (!writes.sending) void this.#sendConfirmed(writes, confirmation);
    return writes;
  }

  /** Connections to servers that hold nothing any more. */
  #forgetOthers(): void {
    const holding = new Set(this.#servers.masters().map(({ name }) => name));
    for (const [name, { redis, sending }] of this.#confirmed) {
      if (holding.has(name) || sending) continue;
      redis.disconnect();
      this.#confirmed.delete(name);
    }
  }

  async #sendConfirmed(writes: ConfirmedWrites, confirmation: Confirmation): Promise<void> {
    writes.sending = true;
    await writes.connected;
    while (writes.waiting.length > 0)
      await this.#send(writes.redis, writes.waiting.splice(0, MOST_IN_PIPELINE), confirmation);
    writes.sending = false;
  }

  async #send(redis: Redis, calls: readonly Call[], confirmation: Confirmation | undefined): Promise<void> {
    if (redis.status !== "ready") {
      for (const call of calls)
        this.#again(call, new BackboneError("unavailable", `[${this.#name}] Redis is not connected`));
      return;
    }
    const pipeline = redis.pipeline();
    for (const { script, keys, args } of calls) pipeline.evalsha(script.sha, keys.length, ...keys, ...args);
    if (confirmation) pipeline.wait(confirmation.replicas, confirmation.withinMs);
    const outcomes = await execute(pipeline, calls.length + 1);
    const [waitError, confirmed] = outcomes[calls.length] ?? [null, 0];
    const short = confirmation && (waitError !== null || Number(confirmed) < confirmation.replicas);
    const unknown: Call[] = [];
    calls.forEach((call, i) => {
      const [error, answer] = outcomes[i] ?? [new Error("no answer"), undefined];
      if (error?.message.includes("NOSCRIPT") === true) unknown.push(call);
      else if (error) this.#fail(call, error);
      else if (short) call.reject(this.#unconfirmed(confirmation, confirmed, waitError));
      else call.resolve(answer);
    });
    if (unknown.length > 0) await this.#teach(redis, unknown);
  }

  /** The server does not know the scripts (it is new, or was emptied): nothing was done. */
  async #teach(redis: Redis, calls: readonly Call[]): Promise<void> {
    try {
      await Promise.all(
        [...new Set(calls.map(({ script }) => script.source))].map((source) => redis.script("LOAD", source)),
      );
      for (const call of calls) this.#add(call);
    } catch (error) {
      for (const call of calls) this.#fail(call, error);
    }
  }

  #fail(call: Call, error: unknown): void {
    if (isElsewhere(error)) this.#again(call, error);
    else call.reject(asBackboneError(this.#name, error, call.script.writes ? "write" : "read"));
  }

  #again(call: Call, error: unknown): void {
    if (Date.now() + AGAIN_MS > call.until) {
      call.reject(asBackboneError(this.#name, error, "read"));
      return;
    }
    void this.#servers.refresh().catch(() => {});
    setTimeout(() => this.#add(call), AGAIN_MS);
  }

  #unconfirmed({ replicas, withinMs }: Confirmation, confirmed: unknown, cause: Error | null): BackboneError {
    return new BackboneError(
      "unknown",
      `[${this.#name}] ${Number(confirmed)} of ${replicas} replicas confirmed within ${withinMs} ms; it may be lost in a failover`,
      { cause },
    );
  }
}

type Outcome = readonly [Error | null, unknown];

/** Never rejects: a pipeline that failed as a whole failed in each of its commands. */
async function execute(pipeline: ChainableCommander, count: number): Promise<readonly Outcome[]> {
  try {
    return (await pipeline.exec()) ?? [];
  } catch (error) {
    const failure = error instanceof Error ? error : new Error(String(error));
    return Array.from({ length: count }, (): Outcome => [failure, undefined]);
  }
}
