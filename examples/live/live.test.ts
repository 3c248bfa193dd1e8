import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { needBroker } from "../../scripts/brokers/need.ts";
import { startGateway } from "../gateway.ts";
import { createPublisher } from "todoku/publisher";
import { configOf, EVENT, Viewer, type Channels } from "./broadcast.ts";

const run = promisify(execFile);
const cluster = await needBroker("redis-cluster");
const START = path.join(import.meta.dirname, "start.ts");

test(
  "everyone at both gateways sees everything, once and in order, and nothing from before",
  { skip: cluster.skip },
  async () => {
    if (cluster.skip !== false) return;
    const config = configOf(cluster.urls);
    const gateways = [await startGateway(config), await startGateway(config)];
    const publisher = await createPublisher<Channels>(config);
    await publisher.publish(EVENT, { n: 0, text: "too early" });
    const all = Promise.withResolvers<void>();
    let complete = 0;
    const viewers = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        Viewer.watch(gateways[i % 2]?.url ?? "", ({ seen }) => {
          if (seen.length === 30 && ++complete === 20) all.resolve();
        }),
      ),
    );
    for (let n = 1; n <= 30; n++) await publisher.publish(EVENT, { n, text: `${n}` });
    await all.promise;
    const expected = Array.from({ length: 30 }, (_, i) => i + 1);
    for (const { seen } of viewers) assert.deepEqual(seen, expected);
    await Promise.all(viewers.map((viewer) => viewer.leave()));
    await publisher.close();
    await Promise.all(gateways.map((gateway) => gateway.close()));
  },
);

test("one command shows it", { skip: cluster.skip }, async () => {
  const args = ["--conditions=source", "--disable-warning=ExperimentalWarning", START];
  const { stdout } = await run(process.execPath, [...args, "--viewers", "20", "--moments", "10"]);
  assert.match(stdout, /20 of 20 viewers have seen all 10 moments/);
});
