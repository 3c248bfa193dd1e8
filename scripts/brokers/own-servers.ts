/** How a test gets servers that it may restart and kill. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Cluster } from "./recipe.ts";
import { provide, recipeOf } from "./running.ts";

/** Servers of a recipe that belong to whoever calls this, until `end`. */
export async function ownServers(recipe: string): Promise<Cluster & { readonly end: () => Promise<void> }> {
  await provide(recipeOf(recipe));
  const folder = await mkdtemp(path.join(tmpdir(), `todoku-${recipe}-`));
  const cluster = await recipeOf(recipe).start(folder);
  const end = async (): Promise<void> => {
    await Promise.all(cluster.servers.map((server) => server.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  return { ...cluster, end };
}
