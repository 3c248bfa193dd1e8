/**
 * A live event, broadcast to many viewers of two gateways over a Redis Cluster.
 *
 *     npm run example live -- --viewers 500 --moments 100
 */
import { parseArgs } from "node:util";
import { createPublisher } from "todoku/publisher";
import { borrowBroker } from "../borrowed-broker.ts";
import { startGateway } from "../gateway.ts";
import { configOf, EVENT, Viewer, type Channels } from "./broadcast.ts";

const { values } = parseArgs({
  options: { viewers: { type: "string", default: "200" }, moments: { type: "string", default: "50" } },
});
const wanted = Number(values.moments);

const { urls, giveBack } = await borrowBroker("redis-cluster");
const config = configOf(urls);
const gateways = [await startGateway(config), await startGateway(config)];
const publisher = await createPublisher<Channels>(config);
const everything = Promise.withResolvers<void>();
let complete = 0;
const viewers = await Promise.all(
  Array.from({ length: Number(values.viewers) }, (_, i) =>
    Viewer.watch(gateways[i % gateways.length]?.url ?? "", ({ seen }) => {
      if (seen.length === wanted && ++complete === viewers.length) everything.resolve();
    }),
  ),
);
console.log(`${viewers.length} viewers at ${gateways.length} gateways; ${wanted} moments begin`);

const begun = performance.now();
for (let n = 1; n <= wanted; n++) await publisher.publish(EVENT, { n, text: `moment ${n}` });
const patience = setTimeout(everything.resolve, 10_000);
await everything.promise;
clearTimeout(patience);
const took = Math.round(performance.now() - begun);
console.log(`${complete} of ${viewers.length} viewers have seen all ${wanted} moments, each once, after ${took} ms`);

await Promise.all(viewers.map((viewer) => viewer.leave()));
await publisher.close();
await Promise.all(gateways.map((gateway) => gateway.close()));
await giveBack();
process.exitCode = complete === viewers.length ? 0 : 1;
