/** What the ways of storing messages durably have in common: the messages, how many are under way, and the reading back. */
import { EmbeddedBackbone } from "../../server/src/backbones/embedded/embedded.ts";
import { systemClock } from "../../server/src/clock.ts";
import type { ConfigInput } from "../../server/src/config.ts";
import { configOf } from "../servers/todoku.ts";

/** Of each message's data, as JSON. */
export const DATA_BYTES = 200;
export const WARM_UP = 20_000;
export const MEASURED = 100_000;
/** Published and not answered yet. */
export const UNDER_WAY = 1000;

const PAGE = 1000;

export function textOf(n: number): string {
  return String(n).padStart(DATA_BYTES - 2, "0");
}

export function storeIn(folder: string): ConfigInput {
  const { namespaces, ...config } = configOf("at-least-once on disk", folder);
  // Nothing is trimmed: all of it is to be read back.
  const retention = { messages: 10 * (WARM_UP + MEASURED), age: "1d" };
  return { ...config, namespaces: { c: { ...namespaces?.["c"], publish: "authenticated", retention } } };
}

/**
 * Opens a store that nobody has open, and compares each channel with the texts of the numbers from 0 on. `expected` says how many
 * there must be. Resolves with what is missing, too many or wrong.
 */
export async function faultsIn(folder: string, expected: ReadonlyMap<string, number>): Promise<readonly string[]> {
  const backbone = new EmbeddedBackbone("bench", { path: folder }, systemClock);
  await backbone.open();
  let [missing, unasked, wrong] = [0, 0, 0];
  for (const [channel, count] of expected) {
    let found = 0;
    for (;;) {
      const { messages } = await backbone.log.read(channel, { after: found, limit: PAGE });
      if (messages.length === 0) break;
      for (const { data } of messages) if (data !== JSON.stringify(textOf(found++))) wrong++;
    }
    missing += Math.max(0, count - found);
    unasked += Math.max(0, found - count);
  }
  await backbone.close();
  return Object.entries({ missing, "not asked for": unasked, wrong }).flatMap(([what, count]) =>
    count === 0 ? [] : [`${count} ${what}`],
  );
}
