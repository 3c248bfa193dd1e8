/**
 * The gate against slowdowns: what the gateway's work costs, counted (bytes allocated and held, writes, frames, promises), never
 * timed. Each slowdown of `costs/planted.ts` must turn it red, or it would guard nothing.
 *
 * To see the figures: `npm test -- costs`.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import type { ConfigInput } from "../server/src/config.ts";
import { beyond, COST_NAMES, COSTS, MEASURING_FLAGS, type CostName, type Measured } from "./costs/costs.ts";
import { PLANTED, type Slowdown } from "./costs/planted.ts";
import { Program } from "./program.ts";
import { RawClient } from "./raw-client.ts";
import { ServerProcess } from "./server-process.ts";

const MEASURE = path.join(import.meta.dirname, "costs", "measure.ts");

async function measure(slowdown: Slowdown | "-", names: readonly CostName[]): Promise<Measured> {
  const program = new Program(MEASURE, [slowdown, ...names], { nodeFlags: MEASURING_FLAGS });
  return JSON.parse(await program.speaks()) as Measured;
}

describe("costs in the gateway", () => {
  test("none is beyond its bound", async (t) => {
    const measured = await measure("-", COST_NAMES);
    for (const name of COST_NAMES) {
      const { what, most } = COSTS[name];
      t.diagnostic(`${name}: ${(measured[name] ?? Number.NaN).toFixed(2)} of ${most} (${what})`);
    }
    assert.deepEqual(beyond(measured), []);
  });

  for (const [slowdown, { found }] of Object.entries(PLANTED)) {
    test(`a planted slowdown (${slowdown}) turns ${found.join(", ")} red`, async () => {
      const measured = await measure(slowdown as Slowdown, found);
      const why = `the bounds of tests/costs/costs.ts are too wide to find it: ${JSON.stringify(measured)}`;
      assert.deepEqual(beyond(measured), found, why);
    });
  }
});

const SUBSCRIBERS = 100;
const PUBLISHES = 20;
const BURST = 50;
/** Beside those to the subscribers there are the answer to the publisher and what wakes threads. */
const MOST_WRITES = 1.2;
/** A burst arrives in one frame; the system may split it in two. */
const MOST_WRITES_OF_BURST = 2.5;

const CONFIG: ConfigInput = {
  auth: { insecure: true },
  client: {
    ping: "10m",
    unauthenticated_per_address: 1000,
    rate: { connects: "off", publish: "off", commands: "off" },
  },
  backbones: { here: { type: "memory" } },
  namespaces: { live: { backbone: "here", subscribe: "any", publish: "any" } },
};

/** Subscribers of a real server, and the calls with which it writes to them. */
class Audience implements AsyncDisposable {
  readonly #server: ServerProcess;
  readonly #clients: readonly RawClient[];
  readonly #publisher: RawClient;
  #published = 0;
  #received = 0;
  #wanted = 0;
  #all = Promise.withResolvers<void>();

  private constructor(server: ServerProcess, clients: readonly RawClient[], publisher: RawClient) {
    this.#server = server;
    this.#clients = clients;
    this.#publisher = publisher;
    for (const client of clients) client.onText = (payload) => this.#take(payload);
    publisher.onText = () => {};
  }

  static async gather(nodeFlags: readonly string[] = []): Promise<Audience> {
    const server = await ServerProcess.start(CONFIG, nodeFlags);
    const clients: RawClient[] = [];
    for (let i = 0; i < SUBSCRIBERS; i++) {
      const client = await RawClient.connect(server.port);
      const subscribed = client.next();
      client.send({ id: 2, subscribe: { channel: "live:hot" } });
      await subscribed;
      clients.push(client);
    }
    return new Audience(server, clients, await RawClient.connect(server.port));
  }

  /** Publishes `count` messages in one frame; resolves, when all have arrived, with the calls to write per subscriber. */
  async writesFor(count: number): Promise<number> {
    const before = this.#writes();
    this.#all = Promise.withResolvers<void>();
    this.#wanted = this.#received + count * SUBSCRIBERS;
    const commands = Array.from({ length: count }, () => ({
      id: ++this.#published,
      publish: { channel: "live:hot", data: "." },
    }));
    this.#publisher.send(...commands);
    await this.#all.promise;
    return (this.#writes() - before) / SUBSCRIBERS;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of [...this.#clients, this.#publisher]) client.terminate();
    await this.#server[Symbol.asyncDispose]();
  }

  #take(payload: Buffer): void {
    for (let at = -1; (at = payload.indexOf('"pub"', at + 1)) !== -1;) this.#received++;
    if (this.#received >= this.#wanted) this.#all.resolve();
  }

  /** Calls to `write` and its like since the process began, as the kernel counts them. */
  #writes(): number {
    const [, count = "0"] = /syscw: (\d+)/.exec(readFileSync(io(this.#server.program.pid), "utf8")) ?? [];
    return Number(count);
  }
}

function io(pid: number): string {
  return `/proc/${pid}/io`;
}

const skip = existsSync(io(process.pid)) ? false : "this system does not count the writes of a process";

describe("writes of a real server", { skip }, () => {
  test("a delivery is one write, and a burst of publications is one write to each subscriber", async (t) => {
    await using audience = await Audience.gather();
    let single = 0;
    for (let i = 0; i < PUBLISHES; i++) single += await audience.writesFor(1);
    const burst = await audience.writesFor(BURST);
    t.diagnostic(`${(single / PUBLISHES).toFixed(2)} writes per delivery, ${burst.toFixed(2)} per burst of ${BURST}`);
    assert.ok(single / PUBLISHES <= MOST_WRITES, `${single / PUBLISHES} writes per delivery`);
    assert.ok(burst <= MOST_WRITES_OF_BURST, `${burst} writes per burst`);
  });

  test("a planted write per publication is found", async () => {
    await using audience = await Audience.gather([
      "--import",
      path.join(import.meta.dirname, "costs/planted-write.ts"),
    ]);
    const burst = await audience.writesFor(BURST);
    assert.ok(burst > 10 * MOST_WRITES_OF_BURST, `${burst} writes per burst`);
  });
});
