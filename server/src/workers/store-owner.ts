/**
 * The process that owns the stores which belong to one process, and lets the workers use them. It serves no client: what ends
 * a worker does not end it.
 */
import { rm } from "node:fs/promises";
import path from "node:path";
import { Metrics } from "../api/metrics.ts";
import type { Backbone } from "../backbones/contract.ts";
import { createBackbone } from "../backbones/registry.ts";
import { StoreServer } from "../backbones/remote/store-server.ts";
import { systemClock } from "../clock.ts";
import { createLogger } from "../logger.ts";
import type { Say, Work } from "./child.ts";
import type { Order } from "./messages.ts";

/** Opens the stores, serves them and reports when it is ready. Rejects with the backbone's error. */
export async function ownStores({ config, stores }: Extract<Order, { order: "own" }>, say: Say): Promise<Work> {
  const metrics = new Metrics();
  const logger = createLogger(config.log).child({ process: "store" });
  const owned: { readonly backbone: Backbone; readonly server: StoreServer }[] = [];
  for (const [name, place] of Object.entries(stores)) {
    const settings = config.backbones[name];
    if (!settings) continue;
    const backbone = await createBackbone(name, settings, systemClock);
    await backbone.open();
    // A killed owner leaves its socket behind.
    await rm(place, { force: true });
    owned.push({ backbone, server: await StoreServer.listen(backbone, place, systemClock) });
  }
  const close = async (): Promise<void> => {
    await Promise.all(owned.map(({ server }) => server.close()));
    await Promise.all(owned.map(({ backbone }) => backbone.close()));
  };
  await say({ report: "ready", url: "" });
  return {
    order: (order) => {
      if (order.order === "measure")
        void metrics.snapshot().then((snapshot) => say({ report: "measured", id: order.id, snapshot }));
      if (order.order === "drain") {
        void close()
          .catch((error: unknown) => logger.error({ error }, "a store could not be closed"))
          .finally(() => process.exit(0));
      }
    },
    orphaned: async () => {
      await close();
      for (const folder of new Set(Object.values(stores).map((place) => path.dirname(place))))
        await rm(folder, { recursive: true, force: true });
    },
  };
}
