import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { needBroker } from "../../scripts/brokers/need.ts";
import { startGateway } from "../gateway.ts";
import { configOf, Dispatcher, drive, track } from "./tracker.ts";

const run = promisify(execFile);
const cluster = await needBroker("redis-cluster");
const START = path.join(import.meta.dirname, "start.ts");

test(
  "a dispatcher that was away finds every report once, in order, at another gateway",
  { skip: cluster.skip },
  async () => {
    if (cluster.skip !== false) return;
    const config = configOf(cluster.urls);
    const [one, two] = [await startGateway(config), await startGateway(config)];
    const vehicles = [`a-${Date.now()}`, `b-${Date.now()}`];
    const got = new Map<string, number[]>(vehicles.map((vehicle) => [vehicle, []]));
    const follow = async (url: string, upTo: number): Promise<void> => {
      const all = Promise.withResolvers<void>();
      const dispatcher = new Dispatcher(url, vehicles, (vehicle, { data }) => {
        got.get(vehicle)?.push(data.n);
        if ([...got.values()].every(({ length }) => length >= upTo)) all.resolve();
      });
      await all.promise;
      await dispatcher.leave();
    };
    await Promise.all([follow(one.url, 5), ...vehicles.map((vehicle) => drive(one.url, vehicle, 5))]);
    for (const vehicle of vehicles) await drive(two.url, vehicle, 5);
    await follow(two.url, 10);
    for (const numbers of got.values()) assert.deepEqual(numbers, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]);
    const places = await track(one.url, vehicles[0] ?? "", 3);
    assert.deepEqual(
      places.map(({ n }) => n),
      [3, 4, 5],
    );
    await Promise.all([one.close(), two.close()]);
  },
);

test("one command shows it", { skip: cluster.skip }, async () => {
  const args = ["--conditions=source", "--disable-warning=ExperimentalWarning", START];
  const { stdout } = await run(process.execPath, [...args, "--vehicles", "2", "--reports", "5"]);
  assert.equal(stdout.match(/has 10 reports of 2 vehicles/g)?.length, 2);
  assert.match(stdout, /was last at (\d+\.\d+ \d+\.\d+(, )?){3}/);
});
