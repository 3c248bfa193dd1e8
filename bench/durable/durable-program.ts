/**
 * Stores messages in this process, so many at a time, each at a time flushed to the disk before the next. Called with the way and
 * an empty folder.
 */
import path from "node:path";
import { open } from "lmdb";
import { createPublisher } from "../../server/src/publisher.ts";
import { MEASURED, storeIn, textOf, UNDER_WAY, WARM_UP, faultsIn } from "./ways.ts";

interface Way {
  /** Stores the messages of so many numbers; resolves when they are on disk. */
  store(first: number, count: number): Promise<unknown>;
  /** Lets go of it, and resolves with what is missing or wrong. */
  faults(stored: number): Promise<readonly string[]>;
}

const [name = "", folder = ""] = process.argv.slice(2);
const CHANNEL = "c:0";

const WAYS: Readonly<Record<string, () => Promise<Way>>> = {
  todoku: async () => {
    const publisher = await createPublisher(storeIn(folder));
    return {
      store: (first, count) =>
        Promise.all(Array.from({ length: count }, (_, i) => publisher.publish(CHANNEL, textOf(first + i)))),
      faults: async (stored) => {
        await publisher.close();
        return faultsIn(folder, new Map([[CHANNEL, stored]]));
      },
    };
  },
  // As the backbone opens it; without positions, ids, retention and everything else.
  lmdb: async () => {
    const store = open<string, [string, number]>({
      path: path.join(folder, "bare.mdb"),
      overlappingSync: false,
    });
    return {
      store: async (first, count) =>
        store.transactionSync(() => {
          for (let i = first; i < first + count; i++) store.putSync([CHANNEL, i + 1], JSON.stringify(textOf(i)));
        }),
      faults: async (stored) => {
        let found = 0;
        let wrong = 0;
        for (const { value } of store.getRange()) if (value !== JSON.stringify(textOf(found++))) wrong++;
        await store.close();
        return found === stored && wrong === 0 ? [] : [`${stored - found} missing, ${wrong} wrong`];
      },
    };
  },
};

const way = await WAYS[name]?.();
if (!way) throw new Error(`there is no way ${name}`);
for (let n = 0; n < WARM_UP; n += UNDER_WAY) await way.store(n, UNDER_WAY);
const [begun, used] = [performance.now(), process.cpuUsage()];
for (let n = WARM_UP; n < WARM_UP + MEASURED; n += UNDER_WAY) await way.store(n, UNDER_WAY);
const seconds = (performance.now() - begun) / 1000;
const { user, system } = process.cpuUsage(used);
const faults = await way.faults(WARM_UP + MEASURED);
console.log(`measured ${JSON.stringify({ seconds, cpuSeconds: (user + system) / 1e6, faults })}`);
process.exit();
