/** PostgreSQL behind a fleet's log: what can be done to it and to whoever fills it, and whether all is in it at the end. */
import assert from "node:assert/strict";
import { setTimeout as after } from "node:timers/promises";
import { Todoku } from "@todoku/client";
import { Client } from "pg";
import type { Log, StoredMessage } from "../../server/src/backbones/contract.ts";
import type { ServerProcess as DatabaseProcess } from "../../scripts/brokers/server-process.ts";
import type { Channels } from "../kill/payload.ts";
import type { ServerProcess } from "../server-process.ts";
import type { Fault, Stage } from "./faults.ts";
import type { FleetEnd } from "./run.ts";

/** An archiver that says nothing is replaced after 15 s. */
const PATIENCE_MS = 60_000;
const READ_AT_ONCE = 500;

/** Publishing goes on meanwhile, and archiving behind it. */
export function killPostgres(server: DatabaseProcess): Fault {
  return {
    name: "SIGKILL of PostgreSQL",
    strike: async (stage) => {
      await server.kill();
      await stage.progress();
      await server.start();
      await archivists(stage);
    },
  };
}

export const killArchivist: Fault = {
  name: "SIGKILL of a gateway that archives",
  strike: async (stage) => {
    const [archivist] = await archivists(stage);
    await archivist?.kill();
    await archivists(stage);
    await archivist?.restart();
  },
};

/** Until another one has taken over: it comes back as a zombie. */
export const freezeArchivist: Fault = {
  name: "SIGSTOP of a gateway that archives",
  strike: async (stage) => {
    const [archivist] = await archivists(stage);
    archivist?.program.signal("SIGSTOP");
    try {
      const gateways = stage.gateways.filter((gateway) => gateway !== archivist);
      await archivists({ ...stage, gateways });
    } finally {
      archivist?.program.signal("SIGCONT");
    }
  },
};

/** Gateways that have archived something since this was called; waits for the first. */
async function archivists({ gateways }: Pick<Stage, "gateways">): Promise<readonly ServerProcess[]> {
  const counts = (): Promise<readonly number[]> =>
    Promise.all(gateways.map((gateway) => gateway.metric("todoku_archived_total").catch(() => 0)));
  const before = await counts();
  return eventually("somebody archives", async () => {
    const now = await counts();
    const busy = gateways.filter((_, i) => (now[i] ?? 0) > (before[i] ?? 0));
    return busy.length > 0 ? busy : undefined;
  });
}

// ── at the end ───────────────────────────────────────────────────────────────

/**
 * Everything that the log has is in the table `messages` of `schema`, each row at its position, and nothing else. Then the log forgets
 * half of it (`forget`), and history and resume still have everything.
 */
export async function judgeArchive(
  { url, channels, log }: FleetEnd,
  { database, schema, forget }: { readonly database: string; readonly schema: string; readonly forget: Forget },
): Promise<void> {
  const client = new Client({ connectionString: database });
  await client.connect();
  try {
    await client.query(`set search_path to ${schema}`);
    for (const channel of channels) {
      const { epoch, messages } = await wholeLog(log, channel);
      await eventually(`${channel} is archived`, async () => {
        const { rows } = await client.query<{ last: string }>("select last from standings where channel = $1", [
          channel,
        ]);
        return Number(rows[0]?.last) >= (messages.at(-1)?.offset ?? 0) || undefined;
      });
      assert.deepEqual(
        await rowsOf(client, channel),
        messages.map((message) => ({ epoch, ...message })),
        `the storage equals the log of ${channel}`,
      );
    }
  } finally {
    await client.end();
  }
  const before = new Map(
    await Promise.all(channels.map(async (channel) => [channel, await wholeLog(log, channel)] as const)),
  );
  await forget();
  for (const [channel, { epoch, messages }] of before) {
    const offsets = messages.map(({ offset }) => offset);
    const left = (await log.read(channel, { limit: 1 })).trimmed;
    assert.ok(left >= (offsets[0] ?? 0), `the log itself has forgotten the beginning of ${channel}`);
    assert.deepEqual(await history(url, channel, epoch), offsets, `the history of ${channel} has no seam`);
    assert.deepEqual(await resumed(url, channel, epoch, offsets.length), offsets, `nor has a resume of ${channel}`);
  }
}

type Forget = () => Promise<void>;

async function wholeLog(
  log: Log,
  channel: string,
): Promise<{ readonly epoch: string; readonly messages: readonly StoredMessage[] }> {
  const messages: StoredMessage[] = [];
  for (let after = 0; ;) {
    const range = await log.read(channel, { after, limit: READ_AT_ONCE });
    messages.push(...range.messages);
    after = messages.at(-1)?.offset ?? range.head;
    if (after >= range.head) return { epoch: range.epoch, messages };
  }
}

interface Row {
  readonly epoch: string;
  readonly offset: string;
  readonly time: string;
  readonly id: string;
  readonly data: string;
  readonly info: string | null;
  readonly tags: string | null;
}

async function rowsOf(client: Client, channel: string): Promise<readonly object[]> {
  const { rows } = await client.query<Row>(
    `select epoch, "offset", (extract(epoch from time) * 1000)::bigint as time, id, data::text, info::text, tags::text
     from messages where channel = $1 order by "offset"`,
    [channel],
  );
  return rows.map(({ epoch, offset, time, id, data, info, tags }) => ({
    epoch,
    offset: Number(offset),
    time: Number(time),
    id,
    data,
    ...(info !== null && { info: JSON.parse(info) as unknown }),
    ...(tags !== null && { tags: JSON.parse(tags) as unknown }),
  }));
}

async function history(url: string, channel: string, epoch: string): Promise<readonly number[]> {
  const offsets: number[] = [];
  for (;;) {
    const since = { epoch, offset: offsets.at(-1) ?? 0 };
    const body = JSON.stringify({ channel, limit: READ_AT_ONCE, since });
    const response = await fetch(`${url}/api/history`, { method: "POST", body });
    const { result } = (await response.json()) as {
      readonly result?: { readonly offset: number; readonly publications: readonly { readonly offset: number }[] };
    };
    assert.ok(result, "the history is answered");
    offsets.push(...result.publications.map(({ offset }) => offset));
    if (result.publications.length === 0 || (offsets.at(-1) ?? 0) >= result.offset) return offsets;
  }
}

async function resumed(url: string, channel: string, epoch: string, count: number): Promise<readonly number[]> {
  const client = new Todoku<Channels>(url);
  const offsets: number[] = [];
  const { promise: all, resolve, reject } = Promise.withResolvers<void>();
  const subscription = client.subscribe(
    channel,
    ({ offset = 0 }) => {
      if (offsets.push(offset) === count) resolve();
    },
    { start: { epoch, offset: 0 } },
  );
  subscription.on("gap", ({ from, to, reason }) => reject(new Error(`a gap from ${from} to ${to} (${reason})`)));
  const late = AbortSignal.timeout(PATIENCE_MS);
  late.addEventListener("abort", () => reject(new Error(`${offsets.length} of ${count} came`)), { once: true });
  try {
    await all;
    return offsets;
  } finally {
    client.disconnect();
  }
}

async function eventually<T>(what: string, found: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const result = await found();
    if (result !== undefined) return result;
    if (Date.now() > deadline) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
    await after(100);
  }
}
