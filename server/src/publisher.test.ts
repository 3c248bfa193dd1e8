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
