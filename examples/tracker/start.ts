/**
 * Vehicles report to one gateway, a dispatcher follows them through another, goes away, and misses nothing.
 *
 *     npm run example tracker -- --vehicles 10 --reports 50
 */
import { parseArgs } from "node:util";
import { borrowBroker } from "../borrowed-broker.ts";
import { startGateway } from "../gateway.ts";
import { configOf, Dispatcher, drive, track } from "./tracker.ts";

const { values } = parseArgs({
  options: { vehicles: { type: "string", default: "5" }, reports: { type: "string", default: "20" } },
});
const reports = Number(values.reports);
// Other names each time: a broker that was running keeps the reports of earlier runs.
const run = Date.now().toString(36);
const vehicles = Array.from({ length: Number(values.vehicles) }, (_, i) => `${run}-${i + 1}`);

const { urls, giveBack } = await borrowBroker("redis-cluster");
const config = configOf(urls);
const [one, two] = [await startGateway(config), await startGateway(config)];

await follow(one.url, vehicles.length * reports, () => driveAll(one.url));
console.log("the dispatcher is away; the vehicles drive on");
await driveAll(one.url);
await follow(two.url, vehicles.length * reports, async () => {});
const [first = ""] = vehicles;
const last = (await track(two.url, first, 3)).map(({ lat, lon }) => `${lat.toFixed(4)} ${lon.toFixed(4)}`);
console.log(`vehicle ${first} was last at ${last.join(", ")}`);

await Promise.all([one.close(), two.close()]);
await giveBack();

async function driveAll(url: string): Promise<void> {
  await Promise.all(vehicles.map((vehicle) => drive(url, vehicle, reports)));
}

/** A dispatcher that goes when it has `count` reports. */
async function follow(url: string, count: number, meanwhile: () => Promise<void>): Promise<void> {
  const all = Promise.withResolvers<void>();
  let got = 0;
  const dispatcher = new Dispatcher(url, vehicles, () => {
    if (++got === count) all.resolve();
  });
  await meanwhile();
  await all.promise;
  await dispatcher.leave();
  console.log(`the dispatcher at ${url} has ${got} reports of ${vehicles.length} vehicles`);
}
