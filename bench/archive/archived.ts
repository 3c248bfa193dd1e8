/** How fast an archiver copies what lies in a log into PostgreSQL. */
import type { Backbone } from "../../server/src/backbones/contract.ts";
import { systemClock } from "../../server/src/clock.ts";
import { parseConfig } from "../../server/src/config-file.ts";
import { silentObserver } from "../../server/src/gateway/observer.ts";
import { Platform } from "../../server/src/platform.ts";
import type { ArchiveObserver } from "../../server/src/storage/archiver.ts";
import { messageOf, present } from "../brokers/way.ts";
import { dose } from "../dose.ts";
import type { Measured } from "../scenario.ts";
import { database, faultsIn, SCHEMA, type Database } from "./database.ts";

export const MESSAGES = dose(40_000);
export const CHANNELS = dose(200);
const UNDER_WAY = 1000;

/** The messages lie in the log, in turn on all channels, before the archiver is started: so it is after an outage, or at the beginning. */
export async function archived(settings: object): Promise<Measured> {
  await using postgres = await database();
  const platform = await Platform.open(configOf(settings, postgres), systemClock, silentObserver);
  const namespace = platform.namespaces.of("kept:0");
  const archive = namespace?.archive;
  if (!archive) throw new Error("the namespace is not archived");
  try {
    await fill(present(platform.backbones.get("log")));
    const { promise: all, resolve, reject } = Promise.withResolvers<void>();
    let count = 0;
    const observer: ArchiveObserver = {
      archived: (_, messages) => {
        count += messages;
        if (count >= MESSAGES) resolve();
      },
      archiveLag: () => {},
      archiveLate: () => {},
      archiveMissed: (_, channel) => reject(new Error(`something of ${channel} is missed`)),
      backboneFailed: (_, __, error) => reject(error),
    };
    const archiver = archive.archiver(namespace, observer);
    const [begun, used] = [performance.now(), process.cpuUsage()];
    archiver.start();
    try {
      await all;
    } finally {
      await archiver.stop();
    }
    const measured = measuredOf(begun, used);
    return { ...measured, faults: await faultsIn(postgres, MESSAGES) };
  } finally {
    await platform.close();
  }
}

/** What a contender came to since `begun`. */
export function measuredOf(begun: number, used: NodeJS.CpuUsage): Measured {
  const { user, system } = process.cpuUsage(used);
  return {
    load: "",
    value: MESSAGES / ((performance.now() - begun) / 1000),
    details: { "CPU µs per row": (user + system) / MESSAGES },
  };
}

export function channelOf(i: number): string {
  return `kept:${i % CHANNELS}`;
}

async function fill({ log }: Backbone): Promise<void> {
  for (let i = 0; i < MESSAGES; i += UNDER_WAY) {
    const batch = Array.from({ length: Math.min(UNDER_WAY, MESSAGES - i) }, (_, j) => i + j);
    await Promise.all(batch.map((n) => present(log).append(channelOf(n), messageOf(n), { retention: {} })));
  }
}

function configOf(settings: object, { url }: Database): ReturnType<typeof parseConfig> {
  return parseConfig({
    auth: { insecure: true },
    backbones: { log: settings as never },
    storage: { archive: { type: "postgres", url, schema: SCHEMA } },
    namespaces: { kept: { backbone: "log", delivery: "at-least-once", retention: { age: "7d" }, storage: "archive" } },
  });
}
