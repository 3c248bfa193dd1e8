/** Publishing without a gateway: an API server writes, a gateway that comes later delivers. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { withFolder } from "./api/running-api.ts";
import type { ConfigInput } from "./config.ts";
import { createTodoku } from "./index.ts";
import { createPublisher, ConfigError, TodokuError } from "./publisher.ts";

const configIn = (folder: string): ConfigInput => ({
  log: { level: "silent" },
  backbones: { local: { type: "embedded", path: folder } },
  namespaces: { orders: { backbone: "local", delivery: "exactly-once" } },
});

describe("createPublisher", () => {
  test("stores under the namespaces' rules, once per key; a gateway finds it", () =>
    withFolder(async (folder) => {
      const publisher = await createPublisher<{ [channel: `orders:${string}`]: { total: number } }>(configIn(folder));
      const first = await publisher.publish("orders:1", { total: 5 }, { key: "k" });
      assert.equal(first.offset, 1);
      assert.deepEqual(await publisher.publish("orders:1", { total: 5 }, { key: "k" }), { ...first, duplicate: true });
      await publisher.close();
      await publisher.close();

      const todoku = await createTodoku(configIn(folder));
      assert.deepEqual(await todoku.publish("orders:1", { total: 5 }, { key: "k" }), { ...first, duplicate: true });
      await todoku.close();
    }));

  test("names what is wrong with a publish", () =>
    withFolder(async (folder) => {
      const publisher = await createPublisher(configIn(folder));
      const circle: unknown[] = [];
      circle.push(circle);
      for (const [channel, data, code] of [
        ["lost:1", 1, 102],
        ["orders:", 1, 107],
        ["orders:1", undefined, 107],
        ["orders:1", () => {}, 107],
        ["orders:1", 1n, 107],
        ["orders:1", circle, 107],
        ["orders:1", "x".repeat(70_000), 400],
      ] as const) {
        await assert.rejects(
          publisher.publish(channel, data as never),
          (error) => error instanceof TodokuError && error.code === code,
          `${channel} ${typeof data}`,
        );
      }
      await assert.rejects(publisher.publish("orders:1", 1, { key: "" }), { code: 107 });
      await assert.rejects(publisher.publish("orders:1", 1, { key: "k".repeat(129) }), { code: 107 });
      await publisher.close();
      await assert.rejects(publisher.publish("orders:1", 1), { code: 402 });
    }));

  test("is refused while a gateway has the folder, which is not disturbed", () =>
    withFolder(async (folder) => {
      const todoku = await createTodoku(configIn(folder));
      await assert.rejects(createPublisher(configIn(folder)), /is in use by another process/);
      assert.equal((await todoku.publish("orders:1", 1)).offset, 1);
      await todoku.close();
      await (await createPublisher(configIn(folder))).close();
    }));

  test("is refused on a backbone that nobody else would hear", async () => {
    const config: ConfigInput = { backbones: { m: { type: "memory" } }, namespaces: { a: { backbone: "m" } } };
    await assert.rejects(
      createPublisher(config),
      (error) => error instanceof ConfigError && /backbones\.m \(memory\) reaches nobody/.test(error.message),
    );
  });

  test("is refused with every promise that cannot be kept, as a gateway is", async () => {
    const config: ConfigInput = { backbones: {}, namespaces: { a: { backbone: "x" }, b: {} } };
    await assert.rejects(
      createPublisher(config),
      (error) => error instanceof ConfigError && error.problems.length === 2,
    );
  });
});

describe("a worker without a gateway", () => {
  const config = (folder: string): ConfigInput => ({
    log: { level: "silent" },
    backbones: { local: { type: "embedded", path: folder } },
    namespaces: {
      jobs: { backbone: "local", queue: { lease: "1s", max_attempts: 2, backoff: "1ms..1ms" } },
      results: { backbone: "local", delivery: "exactly-once" },
    },
  });

  /** A promise, and what resolves it. */
  const gate = (): PromiseWithResolvers<void> => Promise.withResolvers();

  test("does jobs, at most so many at once, and stores their results once with them", () =>
    withFolder(async (folder) => {
      const publisher = await createPublisher(config(folder));
      const { promise, resolve } = gate();
      const results: unknown[] = [];
      let running = 0;
      let most = 0;
      const worker = publisher.consume("jobs:a", { concurrency: 3 }, async (job) => {
        most = Math.max(most, ++running);
        await Promise.resolve();
        job.result("results:a", { of: job.data });
        results.push(job.data);
        running--;
        if (results.length === 10) resolve();
      });
      for (let n = 0; n < 10; n++) await publisher.publish("jobs:a", n, { key: `${n}` });
      await promise;
      await worker.close();
      await publisher.close();
      assert.ok(most <= 3);

      const todoku = await createTodoku(config(folder));
      const { offset } = await todoku.publish("results:a", "last");
      assert.equal(offset, 11);
      await todoku.close();
    }));

  test("a failing job is told of, comes again, and is given up", () =>
    withFolder(async (folder) => {
      const publisher = await createPublisher(config(folder));
      const { promise, resolve } = gate();
      const attempts: number[] = [];
      const codes: number[] = [];
      const onError = ({ code }: TodokuError): void => {
        if (codes.push(code) === 2) resolve();
      };
      publisher.consume("jobs:a", { onError }, (job) => {
        attempts.push(job.attempt);
        throw new Error("no such picture");
      });
      await publisher.publish("jobs:a", 1);
      await promise;
      await publisher.close();
      assert.deepEqual(
        [attempts, codes],
        [
          [1, 2],
          [453, 453],
        ],
      );
    }));

  test("gives its job back when it is told to, and the next one gets it as if for the first time", () =>
    withFolder(async (folder) => {
      const publisher = await createPublisher(config(folder));
      const begun = gate();
      const again = gate();
      const first = publisher.consume("jobs:a", {}, async ({ signal }) => {
        begun.resolve();
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      });
      await publisher.publish("jobs:a", 1);
      await begun.promise;
      await first.close({ giveBack: true });
      let attempt = 0;
      publisher.consume("jobs:a", {}, (job) => {
        attempt = job.attempt;
        again.resolve();
      });
      await again.promise;
      await publisher.close();
      assert.equal(attempt, 1);
    }));

  test("a loop takes one job after the other; leaving it fails the job in hand, closing gives the others back untried", () =>
    withFolder(async (folder) => {
      const publisher = await createPublisher(config(folder));
      for (let n = 1; n <= 5; n++) await publisher.publish("jobs:a", n);
      const codes: number[] = [];
      const looped = publisher.consume("jobs:a", { concurrency: 3, onError: ({ code }) => codes.push(code) });
      const seen: unknown[] = [];
      for await (const job of looped) {
        seen.push([job.data, job.attempt]);
        job.result("results:a", job.data);
        if (job.data === 2) break;
      }
      await looped.close();
      assert.deepEqual(
        [seen, codes],
        [
          [
            [1, 1],
            [2, 1],
          ],
          [453],
        ],
      );
      const rest: (readonly [unknown, number])[] = [];
      const second = publisher.consume("jobs:a", { concurrency: 2 });
      // Two loops over one worker share its jobs.
      const loop = async (): Promise<void> => {
        for await (const job of second) {
          rest.push([job.data, job.attempt]);
          if (rest.length === 4) void second.close();
        }
      };
      await Promise.all([loop(), loop()]);
      assert.deepEqual(
        rest.toSorted(([a], [b]) => Number(a) - Number(b)),
        [
          [2, 2],
          [3, 1],
          [4, 1],
          [5, 1],
        ],
      );
      await publisher.close();
      const todoku = await createTodoku(config(folder));
      const { offset } = await todoku.publish("results:a", "last");
      assert.equal(offset, 2, "the job that was left has no result");
      await todoku.close();
    }));

  test("what is no queue is refused", () =>
    withFolder(async (folder) => {
      const publisher = await createPublisher(config(folder));
      assert.throws(() => publisher.consume("results:a", {}, () => {}), { code: 108 });
      assert.throws(() => publisher.consume("nowhere:a", {}, () => {}), { code: 102 });
      await publisher.close();
    }));
});
