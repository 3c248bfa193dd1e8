/** Looks into the data folder of a server that does not run. */
import { Store } from "../../server/src/backbones/embedded/store.ts";
import type { EventLog } from "../events.ts";

/** Writes down where the durable subscriptions' cursors stand. */
export async function noteCursors(folder: string, log: EventLog): Promise<void> {
  const store = await open(folder);
  for (const { key, value } of store.cursors.getRange()) {
    const [channel, , subscriber] = JSON.parse(key) as [string, string, string];
    if (value.cursor) log.append({ kind: "cursor", subscriber, channel, position: value.cursor.position });
  }
  await store.root.close();
}

/** What a server that keeps its cursors in memory would do by being killed. */
export async function loseCursors(folder: string): Promise<void> {
  const store = await open(folder);
  store.cursors.clearSync();
  await store.root.close();
}

function open(folder: string): Promise<Store> {
  return Store.open("kill", folder, () => "new");
}
