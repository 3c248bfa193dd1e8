/** Many clients of one server in this process: they come, hold, churn, go, and come back all at once. */
import { setTimeout as after } from "node:timers/promises";
import { LoadClient, type LoadClientOptions } from "./load-client.ts";

/** Connects under way at once, where they do not come as a storm. */
const GENTLY = 100;
/**
 * Addresses that a crowd comes from. One alone has ports for 28,000 connections, and those of ended connections stay taken for a minute:
 * where they are many, the kernel looks for a free one for up to a millisecond, and thousands who come at once wait for that.
 */
const ADDRESSES = 250;
/** Who has come back and has not received everything by then will not. */
const RETURN_MS = 300_000;

/** What has not come when nothing has come for so long, does not come. */
const STALLED_MS = 30_000;

export interface CrowdOptions {
  readonly port: number;
  /** The connect request of client `i`. */
  readonly connect: (i: number) => object | Promise<object>;
  /** What client `i` subscribes to. */
  readonly channels: (i: number) => readonly string[];
  /** Crowds of several processes come from addresses of their own: 0 to 250. */
  readonly number?: number;
}

/** How long something took, in ms. */
export interface Times {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface Tally {
  readonly open: number;
  readonly received: number;
  readonly disordered: number;
  readonly lost: number;
  /** Connections that the server refused or ended, by why. */
  readonly endings: Readonly<Record<string, number>>;
}

export class Crowd implements AsyncDisposable {
  readonly clients: LoadClient[] = [];
  readonly #options: CrowdOptions;
  readonly #endings = new Map<string, number>();
  #next = 0;
  /** Of clients that have gone. */
  readonly #gone = { received: 0, disordered: 0, lost: 0 };

  constructor(options: CrowdOptions) {
    this.#options = options;
  }

  /** Opens `count` more, `GENTLY` at once. Resolves, when all are subscribed, with how long each took. */
  async come(count: number): Promise<Times> {
    const times: number[] = [];
    let left = count;
    const comeInTurn = async (): Promise<void> => {
      while (left-- > 0) times.push(await this.#one());
    };
    await Promise.all(Array.from({ length: Math.min(GENTLY, count) }, comeInTurn));
    return percentiles(times);
  }

  /** Every second for `seconds`, `perSecond` of those that came first go without a word, and as many new ones come. */
  async churn(perSecond: number, seconds: number): Promise<Times> {
    const times: number[] = [];
    for (let second = 0; second < seconds; second++) {
      const begun = performance.now();
      const leaving = this.clients.splice(0, perSecond);
      for (const client of leaving) this.#count(client);
      await Promise.all(leaving.map((client) => client.drop()));
      const came = leaving.map(async () => void times.push(await this.#one()));
      await Promise.all(came);
      await after(Math.max(0, begun + 1000 - performance.now()));
    }
    return percentiles(times);
  }

  /** All connections are lost at once. */
  async drop(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.drop()));
  }

  /**
   * All come back at once, and whoever is cut or refused tries again as the SDK does. Resolves, when each has received `missed`
   * publications, with how long that took from the moment on which all of them began.
   */
  async return(missed: number): Promise<Times> {
    const begun = performance.now();
    const until = AbortSignal.timeout(RETURN_MS);
    const times: number[] = [];
    const all = Promise.all(
      this.clients.map(async (client) => {
        const target = client.received + missed;
        await this.#persist(client, until);
        await received(client, target);
        times.push(performance.now() - begun);
      }),
    );
    const late = Promise.withResolvers<never>();
    until.addEventListener("abort", () => {
      const { open, lost, endings } = this.tally();
      const count = `${times.length} of ${this.clients.length} clients have everything after ${RETURN_MS} ms`;
      late.reject(new Error(`${count}; ${open} are connected, ${lost} messages lost, ${JSON.stringify(endings)}`));
    });
    await Promise.race([all, late.promise]);
    return percentiles(times);
  }

  /** Resolves when all clients together have received `count`, or nothing more comes for `silenceMs`. */
  async receives(count: number, silenceMs = 2000): Promise<void> {
    for (let last = -1; this.tally().received < count && this.tally().received !== last; await after(silenceMs)) {
      last = this.tally().received;
      for (let i = 0; i < 20 && this.tally().received < count; i++) await after(silenceMs / 20);
    }
  }

  /** Resolves when all clients together have received `count` or were told that it is lost to them, or nothing more comes for long. */
  async accounts(count: number): Promise<void> {
    let most = -1;
    for (let last = performance.now(); performance.now() - last < STALLED_MS; await after(20)) {
      const { received, lost } = this.tally();
      if (received + lost >= count) return;
      if (received + lost > most) last = performance.now();
      most = Math.max(most, received + lost);
    }
  }

  pause(): void {
    for (const client of this.clients) client.pause();
  }

  resume(): void {
    for (const client of this.clients) client.resume();
  }

  tally(): Tally {
    const sum = { ...this.#gone, open: 0 };
    for (const client of this.clients) {
      sum.received += client.received;
      sum.disordered += client.disordered;
      sum.lost += client.lost;
      if (client.isOpen) sum.open++;
    }
    return { ...sum, endings: Object.fromEntries(this.#endings) };
  }

  /** All go without a word. */
  async leave(): Promise<void> {
    await this.drop();
    for (const client of this.clients.splice(0)) this.#count(client);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.leave();
  }

  #count({ received, disordered, lost }: LoadClient): void {
    this.#gone.received += received;
    this.#gone.disordered += disordered;
    this.#gone.lost += lost;
  }

  /** Opens one more client; resolves with the ms that it took. */
  async #one(): Promise<number> {
    const { port, connect, channels, number = 0 } = this.#options;
    const i = this.#next++;
    const options: LoadClientOptions = {
      port,
      from: `127.0.${number}.${2 + (i % ADDRESSES)}`,
      connect: await connect(i),
      channels: channels(i),
    };
    const client = new LoadClient(options);
    client.onEnded = (ending) => this.#ended("closed" in ending ? `closed with ${ending.closed}` : ending.refused);
    const begun = performance.now();
    try {
      await client.open();
      this.clients.push(client);
    } catch (error) {
      this.#ended(error instanceof Error ? error.message : String(error));
    }
    return performance.now() - begun;
  }

  /** Full jitter that grows, as in the SDK. */
  async #persist(client: LoadClient, until: AbortSignal): Promise<void> {
    for (let mostMs = 200; !until.aborted; mostMs = Math.min(20_000, mostMs * 2)) {
      try {
        return await client.open();
      } catch (error) {
        this.#ended(error instanceof Error ? error.message : String(error));
        await after(Math.random() * mostMs);
      }
    }
  }

  #ended(why: string): void {
    this.#endings.set(why, (this.#endings.get(why) ?? 0) + 1);
  }
}

function received(client: LoadClient, target: number): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (client.received < target) return;
      client.onReceived = () => {};
      resolve();
    };
    client.onReceived = look;
    look();
  });
}

export function percentiles(values: readonly number[]): Times {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
