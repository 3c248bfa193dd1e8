/** What the Redis backbones' tests have in common: their own servers, and harnesses for the conformance suite. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { install } from "../../../../scripts/brokers/install.ts";
import { ownServers } from "../../../../scripts/brokers/own-servers.ts";
import { redisServer } from "../../../../scripts/brokers/redis.ts";
import { recipeOf } from "../../../../scripts/brokers/running.ts";
import { freePorts, type ServerProcess } from "../../../../scripts/brokers/server-process.ts";
import { systemClock } from "../../clock.ts";
import type { Backbone } from "../contract.ts";
import { backboneSchema, createBackbone } from "../registry.ts";
import type { ConformanceHarness } from "../conformance.ts";

/** One server set up as a test wants it. `files` are what its settings name, made before it starts, in its folder. */
export async function ownServer(
  settings: Readonly<Record<string, string>>,
  files: (folder: string) => Promise<void> = async () => {},
): Promise<{ readonly server: ServerProcess; readonly folder: string; readonly end: () => Promise<void> }> {
  install(recipeOf("redis"));
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-redis-"));
  await files(folder);
  const [port = 0] = await freePorts(1);
  const server = await redisServer(folder, "server", { port: String(port), ...settings }).start();
  const end = async (): Promise<void> => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  };
  return { server, folder, end };
}

/** Makes the backbone; `settings` as in a configuration. */
export function backboneOf(settings: object): Promise<Backbone> {
  return createBackbone("redis", backboneSchema.parse(settings), systemClock);
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
      const backbone = await backboneOf(settingsFor(servers.urls));
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
