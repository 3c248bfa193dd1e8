/** Measures what delivering costs a server: its processor time, while messages are published and everything is received. */
import { setTimeout as after } from "node:timers/promises";
import { Audience } from "../server/src/load/audience.ts";
import { sentTo } from "../server/src/load/even-schedule.ts";
import { monotonicMicroseconds } from "../server/src/load/stamp.ts";
import { LEAST_CPU_SECONDS, machineSeconds } from "./process-cost.ts";
import type { Contender, Measured } from "./scenario.ts";
import { running, type Running, type Server } from "./servers/server.ts";

export interface Load {
  /** As the table calls it. */
  readonly name: string;
  /** Messages a second, over all channels. */
  readonly rate: number;
  readonly warmUpMs: number;
  readonly measuredMs: number;
}

export interface DeliveryOptions {
  readonly connections: number;
  readonly channels: number;
  /** In this order, of one process as long as it keeps up. */
  readonly loads: readonly Load[];
}

/** Of each message's data, as JSON. */
export const DATA_BYTES = 128;

const PREFIX = "c:";
/** Without any arrival for so long, the rest is lost. */
const SILENCE_MS = 3000;
/** A server that still delivers after so long is behind: what it did not come to is not lost, nor counted. */
const LONGEST_DRAIN_MS = 1500;
/** It still delivers when something has arrived within this time. */
const COMING_MS = 300;
const LOOK_MS = 20;
/** A server that publishes less than this share of what it should is behind. */
const KEPT_UP = 0.95;

/** The contender that a server is in a scenario about deliveries. */
export function deliveriesOf(server: Server, options: DeliveryOptions): Contender {
  return {
    ...server,
    measure: async () => {
      const measured: Measured[] = [];
      while (measured.length < options.loads.length) {
        await using started = await running(server);
        const measuring = new Measuring(started, options);
        try {
          measured.push(...(await measuring.from(measured.length)));
        } finally {
          await measuring.end();
        }
      }
      return measured;
    },
  };
}

class Measuring {
  readonly #server: Running;
  readonly #options: DeliveryOptions;
  readonly #audience: Audience;
  readonly #channels: readonly string[];
  #published = 0;

  constructor(server: Running, options: DeliveryOptions) {
    this.#server = server;
    this.#options = options;
    this.#channels = Array.from({ length: options.channels }, (_, i) => `${PREFIX}${i}`);
    this.#audience = new Audience({
      target: { host: "127.0.0.1", port: server.port, tls: false },
      dialect: server.dialect,
      connections: options.connections,
      channels: this.#channels,
      bytes: DATA_BYTES,
    });
  }

  /**
   * Measures the loads from the `index`-th on, and stops behind one that the server could not keep up with: what it has not
   * delivered yet would be counted to the next.
   */
  async from(index: number): Promise<readonly Measured[]> {
    await this.#audience.gather();
    const measured: Measured[] = [];
    for (const load of this.#options.loads.slice(index)) {
      const one = await this.#measure(load);
      measured.push(one);
      if (one.behind) break;
    }
    return measured;
  }

  end(): Promise<void> {
    return this.#audience.leave();
  }

  async #measure({ name, rate, warmUpMs, measuredMs }: Load): Promise<Measured> {
    const { process: server } = this.#server;
    const { channels } = this.#options;
    const { tally } = this.#audience;
    const before = this.#faults();
    server.tell(`publish ${rate} ${warmUpMs + measuredMs} ${PREFIX} ${channels} ${this.#published} ${DATA_BYTES}`);
    await server.says("publishing");
    const begun = monotonicMicroseconds();
    tally.recordBetween(begun + warmUpMs * 1000, begun + (warmUpMs + measuredMs) * 1000);
    await after(warmUpMs);
    const window = {
      at: performance.now(),
      server: this.#server.cpuSeconds(),
      own: process.cpuUsage(),
      all: machineSeconds(),
    };
    const counted = { delivered: tally.delivered, frames: tally.frames };
    await after(measuredMs);
    const seconds = (performance.now() - window.at) / 1000;
    const serverSeconds = this.#server.cpuSeconds() - window.server;
    const { user, system } = process.cpuUsage(window.own);
    const own = (user + system) / 1e6;
    const others = Math.max(0, machineSeconds() - window.all - serverSeconds - own);
    const delivered = tally.delivered - counted.delivered;
    const frames = tally.frames - counted.frames;
    const offered = ((warmUpMs + measuredMs) / 1000) * rate;
    const published = Number(await server.says("published"));
    this.#published += published;
    const { missing, coming } = await this.#drain();
    return {
      load: name,
      value: delivered / Math.max(serverSeconds, LEAST_CPU_SECONDS),
      details: {
        "deliveries/s": delivered / seconds,
        "per write": delivered / frames,
        ...(tally.latency.count > 0 && {
          "p50 ms": tally.latency.at(0.5) / 1000,
          "p99 ms": tally.latency.at(0.99) / 1000,
          "max ms": tally.latency.max / 1000,
        }),
      },
      serverShare: serverSeconds / seconds,
      generatorShare: own / seconds,
      othersShare: others / seconds,
      behind: coming || published < KEPT_UP * offered,
      faults: this.#faultsSince(before, coming ? 0 : missing),
    };
  }

  /** Waits until everything has arrived, or nothing more comes, or it takes too long. */
  async #drain(): Promise<{ readonly missing: number; readonly coming: boolean }> {
    const publishedOn = sentTo(this.#channels, this.#published);
    const begun = performance.now();
    let last = this.#audience.tally.delivered;
    let changed = begun;
    for (;;) {
      const missing = this.#audience.missing(publishedOn);
      if (missing === 0) return { missing, coming: false };
      const now = performance.now();
      const { delivered } = this.#audience.tally;
      if (delivered !== last) [last, changed] = [delivered, now];
      if (now - changed > SILENCE_MS) return { missing, coming: false };
      if (now - begun > LONGEST_DRAIN_MS && now - changed < COMING_MS) return { missing, coming: true };
      await after(LOOK_MS);
    }
  }

  #faultsSince(before: Faults, missing: number): readonly string[] {
    const { lost, repeated, wrong, ended } = this.#faults();
    // What is known to be lost lies before the next one expected, what is missing behind it.
    const counted = {
      lost: lost - before.lost + missing,
      "repeated or out of order": repeated - before.repeated,
      wrong: wrong - before.wrong,
      [`connections ended (${this.#audience.ends.at(-1)})`]: ended - before.ended,
    };
    return Object.entries(counted).flatMap(([what, count]) => (count === 0 ? [] : [`${count} ${what}`]));
  }

  #faults(): Faults {
    const { lost, repeated, wrong } = this.#audience.tally;
    return { lost, repeated, wrong, ended: this.#audience.ends.length };
  }
}

interface Faults {
  readonly lost: number;
  readonly repeated: number;
  readonly wrong: number;
  readonly ended: number;
}
