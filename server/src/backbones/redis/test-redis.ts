/** What the Redis backbones' tests have in common: their own servers, and harnesses for the conformance suite. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { install } from "../../../../scripts/brokers/install.ts";
import type { Cluster } from "../../../../scripts/brokers/recipe.ts";
import { recipeOf } from "../../../../scripts/brokers/running.ts";
import { systemClock } from "../../clock.ts";
import type { Backbone } from "../contract.ts";
import { backboneSchema, createBackbone } from "../registry.ts";
import type { ConformanceHarness } from "../conformance.ts";

/** Servers of a recipe that belong to one test file: it may restart and kill them. */
export async function ownServers(recipe: string): Promise<Cluster & { readonly end: () => Promise<void> }> {
  install(recipeOf(recipe));
  const folder = await mkdtemp(path.join(tmpdir(), `todoku-${recipe}-`));
  const cluster = await recipeOf(recipe).start(folder);
  const end = async (): Promise<void> => {
    await Promise.all(cluster.servers.map((server) => server.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  return { ...cluster, end };
}

/** A harness over servers that are restarted in the middle. */
export async function harness(
  recipe: string,
  settingsFor: (urls: readonly string[]) => object,
): Promise<ConformanceHarness> {
  const servers = await ownServers(recipe);
  const opened: Backbone[] = [];
  return {
    open: async () => {
      const settings = backboneSchema.parse(settingsFor(servers.urls));
      const backbone = await createBackbone("redis", settings, systemClock);
      await untilOpen(backbone);
      opened.push(backbone);
      return backbone;
    },
    restart: async () => {
      await Promise.all(servers.servers.map((server) => server.kill()));
      await Promise.all(servers.servers.map((server) => server.start()));
    },
    close: async () => {
      await Promise.all(opened.map((backbone) => backbone.close()));
      await servers.end();
    },
  };
}

/** After a restart the servers need a moment to find each other. */
async function untilOpen(backbone: Backbone): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      await backbone.open();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
