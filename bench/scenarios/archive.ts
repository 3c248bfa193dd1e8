/** How fast PostgreSQL is filled from a log. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { ownServers } from "../../scripts/brokers/own-servers.ts";
import { archived, CHANNELS, MESSAGES } from "../archive/archived.ts";
import { inserted } from "../archive/bare.ts";
import { DATA_BYTES } from "../load-data.ts";
import { versionOf } from "../package-version.ts";
import { pin, SERVER_CORE } from "../process-cost.ts";
import type { Contender, Scenario } from "../scenario.ts";

const embedded: Contender = {
  name: "todoku, from embedded",
  versions: () => ({ lmdb: versionOf("lmdb") }),
  measure: async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "todoku-bench-"));
    try {
      return [await archived({ type: "embedded", path: folder })];
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};

const kafka: Contender = {
  name: "todoku, from kafka",
  versions: () => ({ "@platformatic/kafka": versionOf("@platformatic/kafka") }),
  measure: async () => {
    const { urls, servers, end } = await ownServers("kafka");
    for (const { pid } of servers) pin(pid ?? 0, SERVER_CORE);
    try {
      return [await archived({ type: "kafka", brokers: urls, partitions: 3 })];
    } finally {
      await end();
    }
  },
};

const bare: Contender = {
  name: "pg's inserts in a bare loop",
  versions: () => ({ pg: versionOf("pg") }),
  measure: async () => [await inserted()],
};

export const archive: Scenario = {
  name: "archive",
  title: "Filling the storage",
  about:
    `${MESSAGES.toLocaleString("en")} messages of ${DATA_BYTES} bytes lie in the log, in turn on ${CHANNELS} channels, when the archiver is started; the figure is rows a ` +
    "second until PostgreSQL has all of them, how far each channel is archived included. The bare loop inserts the same rows into the same table, 5,000 in a statement.",
  unit: "rows/s",
  better: "more",
  expectedSeconds: 20,
  contenders: [embedded, kafka, bare],
  controls: [{ title: "of the bare loop", contenders: [bare.name] }],
};
