/** How long a client waits that was away, depending on where what it missed is. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Todoku, type Position } from "@todoku/client";
import { backboneSchema, createBackbone } from "../../server/src/backbones/registry.ts";
import { systemClock } from "../../server/src/clock.ts";
import { createStorage, storageSchema } from "../../server/src/storage/registry.ts";
import { ServerProcess } from "../../tests/server-process.ts";
import { messageOf, present } from "../brokers/way.ts";
import { dose } from "../dose.ts";
import { pin, SERVER_CORE } from "../process-cost.ts";
import type { Measured } from "../scenario.ts";
import { database, SCHEMA, type Database } from "./database.ts";

export const MISSED = 100;
const CHANNEL = "kept:1";
const WARM_UP = 30;
const MEASURED = dose(200);
const PATIENCE_MS = 30_000;

/** The log has the newest `inLog` of what is missed, and the storage all but the very last. */
export async function resumes(inLog: number): Promise<Measured> {
  const folder = mkdtempSync(path.join(tmpdir(), "todoku-bench-"));
  try {
    await using postgres = await database();
    const from = await fill(folder, postgres, inLog);
    await using server = await ServerProcess.start({
      auth: { insecure: true },
      client: { rate: { commands: "off", publish: "off", subscribe: "off", connects: "off" } },
      backbones: { log: { type: "embedded", path: folder } },
      storage: { archive: { type: "postgres", url: postgres.url, schema: SCHEMA } },
      namespaces: {
        kept: { backbone: "log", retention: { messages: 1000 }, storage: "archive", subscribe: "any", history: "any" },
      },
    });
    pin(server.program.pid, SERVER_CORE);
    const client = new Todoku(server.url);
    try {
      const times: number[] = [];
      const faults = new Set<string>();
      for (let i = -WARM_UP; i < MEASURED; i++) {
        const { ms, fault } = await resume(client, from);
        if (fault !== undefined) faults.add(fault);
        if (i >= 0) times.push(ms);
      }
      times.sort((a, b) => a - b);
      const at = (share: number): number => times[Math.floor(share * (times.length - 1))] ?? Number.NaN;
      return { load: "", value: at(0.5), details: { "p99 ms": at(0.99) }, faults: [...faults] };
    } finally {
      await client.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Returns the position of the message before the first that is missed. */
async function fill(folder: string, { url }: Database, inLog: number): Promise<Position> {
  const log = await createBackbone("log", backboneSchema.parse({ type: "embedded", path: folder }), systemClock);
  const storage = await createStorage(
    "archive",
    storageSchema.parse({ type: "postgres", url, schema: SCHEMA }),
    systemClock,
  );
  await Promise.all([log.open(), storage.open()]);
  const append = (i: number, retention: { readonly messages?: number }): Promise<Position> =>
    present(log.log).append(CHANNEL, messageOf(i), { retention });
  const first = await append(0, {});
  for (let i = 1; i < MISSED; i++) await append(i, {});
  const { epoch, messages, head } = await present(log.log).read(CHANNEL, { limit: MISSED });
  await storage.write([{ channel: CHANNEL, epoch, after: 0, upTo: head, messages }]);
  const last = await append(MISSED, { messages: inLog });
  const { trimmed } = await present(log.log).read(CHANNEL, { limit: 1 });
  await Promise.all([log.close(), storage.close()]);
  if (last.offset - trimmed > inLog) throw new Error(`the log has forgotten up to ${trimmed} of ${last.offset} only`);
  return { epoch, offset: first.offset };
}

async function resume(client: Todoku, start: Position): Promise<{ readonly ms: number; readonly fault?: string }> {
  const offsets: number[] = [];
  const { promise: all, resolve, reject } = Promise.withResolvers<void>();
  const begun = performance.now();
  const subscription = client.subscribe(
    CHANNEL,
    ({ offset = 0 }) => {
      if (offsets.push(offset) === MISSED) resolve();
    },
    { start },
  );
  let gap: string | undefined;
  subscription.on("gap", ({ from, to }) => {
    gap = `a gap from ${from} to ${to}`;
    resolve();
  });
  const timer = setTimeout(() => reject(new Error(`${offsets.length} of ${MISSED} came`)), PATIENCE_MS);
  try {
    await all;
  } finally {
    clearTimeout(timer);
  }
  const ms = performance.now() - begun;
  await subscription.close();
  const inOrder = offsets.every((offset, i) => offset === start.offset + 1 + i);
  return { ms, ...(gap === undefined ? !inOrder && { fault: "out of order, lost or repeated" } : { fault: gap }) };
}
