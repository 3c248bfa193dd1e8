import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, describe, test } from "node:test";
import { promisify } from "node:util";
import { needBroker } from "../../../../../scripts/brokers/need.ts";
import { systemClock } from "../../../clock.ts";
import { parseConfig } from "../../../config-file.ts";
import { startServer, type RunningServer } from "../../../server.ts";
import type { IngestEntry, IngestVerdict } from "../../contract.ts";
import { backboneOf } from "../test-redis.ts";

const run = promisify(execFile);

for (const recipe of ["redis", "redis-cluster"] as const) {
  const broker = await needBroker(recipe);

  describe(`the ingest stream of ${recipe}`, { skip: broker.skip }, () => {
    if (broker.skip !== false) return;
    const { urls } = broker;
    const { port } = new URL(urls[0] ?? "");
    const place = recipe === "redis" ? { url: urls[0] } : { cluster: urls };
    const settings = { type: "redis-streams", ...place, prefix: `ingest-${systemClock.uuid()}:`, ingest: true };
    const { prefix } = settings;
    const cli = async (...words: string[]): Promise<string> =>
      (await run("redis-cli", ["-c", "-p", port, ...words])).stdout.trim();
    const leave = (...fields: string[]): Promise<string> => cli("xadd", `${prefix}ingest`, "*", ...fields);
    const left = async (): Promise<number> => Number(await cli("xlen", `${prefix}ingest`));
    const ends: (() => Promise<void>)[] = [];
    after(async () => {
      for (const end of ends.toReversed()) await end();
    });

    async function gateway(): Promise<RunningServer> {
      const server = await startServer(
        parseConfig({
          http: { port: 0 },
          log: { level: "silent" },
          auth: { insecure: true },
          backbones: { shared: settings as never },
          namespaces: {
            chat: { backbone: "shared", delivery: "exactly-once", history: "any" },
            live: { backbone: "shared" },
          },
        }),
      );
      ends.push(() => server.close());
      return server;
    }

    async function consumer(
      deliver: (entry: IngestEntry) => Promise<IngestVerdict>,
    ): Promise<{ stop: () => Promise<void> }> {
      const backbone = await backboneOf(settings);
      await backbone.open();
      ends.push(() => backbone.close());
      assert.ok(backbone.ingest);
      const stop = await backbone.ingest.start(deliver);
      ends.push(stop);
      return { stop };
    }

    test("without the setting there is none", async () => {
      assert.equal((await backboneOf({ ...settings, ingest: false })).ingest, undefined);
    });

    test("entries are published once each by one of two gateways; a repeated key stores nothing; what cannot be is set aside", async () => {
      await leave("channel", "chat:42", "data", '{"n":0}', "key", "k", "tags", '{"room":"1"}');
      const gateways = [await gateway(), await gateway()];
      await Promise.all(Array.from({ length: 20 }, (_, i) => leave("channel", "chat:42", "data", `{"n":${i + 1}}`)));
      await leave("channel", "chat:42", "data", '{"n":0}', "key", "k");
      const wrong = [
        ["channel", "chat:42", "data", "{not JSON"],
        ["channel", "chat:42"],
        ["data", "{}"],
        ["channel", "nowhere:1", "data", "{}"],
        ["channel", "chat:42", "data", "{}", "tags", "[]"],
        ["channel", "chat:42", "data", "{}", "key", "k".repeat(200)],
      ];
      for (const fields of wrong) await leave(...fields);
      while ((await left()) > 0) continue;

      const { result } = (await (
        await fetch(`${gateways[0]?.url}/api/history`, {
          method: "POST",
          body: JSON.stringify({ channel: "chat:42", limit: -1 }),
        })
      ).json()) as { result: { publications: { data: { n: number }; tags?: object }[] } };
      const numbers = result.publications.map(({ data }) => data.n);
      assert.deepEqual(
        numbers.toSorted((a, b) => a - b),
        Array.from({ length: 21 }, (_, i) => i),
      );
      assert.deepEqual(result.publications.find(({ data }) => data.n === 0)?.tags, { room: "1" });
      const metrics = await Promise.all(gateways.map(async ({ url }) => (await fetch(`${url}/metrics`)).text()));
      const counted = metrics
        .flatMap((text) => [...text.matchAll(/^todoku_malformed_total\{.*\} (\d+)$/gm)])
        .map(([, count]) => Number(count));
      assert.equal(
        counted.reduce((sum, count) => sum + count, 0),
        wrong.length,
      );
      const rejected = await cli("xrange", `${prefix}ingest:rejected`, "-", "+");
      for (const reason of ["data is not JSON", "there is no data", "channel is empty", "not configured", "tags is no"])
        assert.match(rejected, new RegExp(`\\breason\\n${reason}|${reason}`));
      assert.match(rejected, /\{not JSON/);
      assert.equal(await cli("xlen", `${prefix}ingest:rejected`), String(wrong.length));
      for (const server of gateways) await server.close();
      assert.equal(await cli("xinfo", "consumers", `${prefix}ingest`, "todoku"), "", "who leaves is forgotten");
    });

    test("an entry that could not be published, or whose gateway died, is handed over again, and says so", async () => {
      const frozen = Promise.withResolvers<IngestVerdict>();
      const given = Promise.withResolvers<IngestEntry>();
      const dead = await consumer((entry) => {
        given.resolve(entry);
        return frozen.promise;
      });
      const id = await leave("channel", "live:1", "data", "{}");
      assert.deepEqual(await given.promise, { id, channel: "live:1", data: "{}", again: false });
      // As if it had been so for a quarter of a minute.
      await cli("xclaim", `${prefix}ingest`, "todoku", "nobody", "0", id, "idle", "16000");
      const taken = Promise.withResolvers<IngestEntry>();
      const other = await consumer(async (entry) => {
        taken.resolve(entry);
        return "taken";
      });
      assert.deepEqual(await taken.promise, { id, channel: "live:1", data: "{}", again: true });
      while ((await left()) > 0) continue;
      frozen.reject(new Error("it never came back"));
      await Promise.all([dead.stop(), other.stop()]);
    });
  });
}
