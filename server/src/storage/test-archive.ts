/** What the tests of the archive have in common: a real PostgreSQL, a log that forgets soon, and archivers between them. */
import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import { Client } from "pg";
import type { Log, Message, Range } from "../backbones/contract.ts";
import { MemoryBackbone } from "../backbones/memory.ts";
import { systemClock } from "../clock.ts";
import { configSchema } from "../config.ts";
import type { Namespace } from "../namespaces/namespace.ts";
import { openNamespaces } from "../namespaces/open.ts";
import type { Archiver, ArchiveObserver } from "./archiver.ts";
import type { Storage } from "./contract.ts";
import { createStorage, storageSchema } from "./registry.ts";

/** Longest time that a test waits for something that must happen. */
const PATIENCE_MS = 20_000;

/** What archivers told, and a way to wait for it. */
export class Told implements ArchiveObserver {
  archivedCount = 0;
  /** Most messages that were written together. */
  mostAtOnce = 0;
  readonly missed: { readonly channel: string; readonly from: number; readonly to: number }[] = [];
  readonly late: string[] = [];
  readonly failures: unknown[] = [];
  lagMs = 0;
  #waiting: (() => void)[] = [];

  archived(_namespace: Namespace, messages: number): void {
    this.archivedCount += messages;
    this.mostAtOnce = Math.max(this.mostAtOnce, messages);
    this.#changed();
  }

  archiveLag(_namespace: Namespace, ms: number): void {
    this.lagMs = ms;
    this.#changed();
  }

  archiveMissed(_namespace: Namespace, channel: string, from: number, to: number): void {
    this.missed.push({ channel, from, to });
    this.#changed();
  }

  archiveLate(_namespace: Namespace, channel: string): void {
    this.late.push(channel);
    this.#changed();
  }

  backboneFailed(_namespace: Namespace, _operation: string, error: unknown): void {
    this.failures.push(error);
    this.#changed();
  }

  /** Resolves when it is so. */
  async until(what: string, so: () => boolean): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!so()) {
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #changed(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

export interface ArchiveCase {
  readonly schema: string;
  readonly backbone: MemoryBackbone;
  readonly storage: Storage;
  readonly namespace: Namespace;
  /** The namespace's log, which goes on in the storage. */
  readonly log: Log;
  readonly told: Told;
  /** One more archiver, which is stopped at the end of the test. */
  archiver(): Archiver;
  append(channel: string, ...texts: readonly string[]): Promise<void>;
  sql<Row extends object>(text: string): Promise<readonly Row[]>;
}

export interface ArchiveCaseOptions {
  readonly retention?: { readonly messages?: number };
  readonly keep?: string;
}

/** A namespace `chat` on `memory` that is archived in a schema of its own. */
export async function archiveCase(
  context: TestContext,
  url: string,
  { retention = { messages: 5 }, keep }: ArchiveCaseOptions = {},
): Promise<ArchiveCase> {
  const schema = `test_${randomUUID().replaceAll("-", "").slice(0, 12)}`;
  const input = { type: "postgres" as const, url, schema, ...(keep !== undefined && { keep }) };
  const settings = storageSchema.parse(input);
  const storage = await createStorage("archive", settings, systemClock);
  await storage.open();
  const backbone = new MemoryBackbone({}, systemClock);
  await backbone.open();
  const config = configSchema.parse({
    auth: { insecure: true },
    backbones: { default: { type: "memory" } },
    storage: { archive: input },
    namespaces: { chat: { backbone: "default", retention, storage: "archive" } },
  });
  const namespace = openNamespaces(
    config,
    new Map([["default", backbone]]),
    new Map([
      ["archive", { storage, clock: systemClock, ...(settings.keep !== undefined && { keepMs: settings.keep }) }],
    ]),
  ).of("chat:1");
  const log = namespace?.log;
  if (!namespace?.archive || !log) throw new Error("the namespace is not archived");
  const { archive } = namespace;
  const told = new Told();
  const archivers: Archiver[] = [];
  context.after(async () => {
    await Promise.all(archivers.map((archiver) => archiver.stop()));
    await backbone.close();
    await storage.close();
  });
  return {
    schema,
    backbone,
    storage,
    namespace,
    log,
    told,
    archiver: () => {
      const archiver = archive.archiver(namespace, told);
      archivers.push(archiver);
      return archiver;
    },
    append: async (channel, ...texts) => {
      for (const text of texts) await log.append(channel, messageOf(text), { retention: namespace.retention });
    },
    sql: async <Row extends object>(text: string) => {
      const client = new Client({ connectionString: url });
      await client.connect();
      try {
        await client.query(`set search_path to ${schema}`);
        return (await client.query<Row>(text)).rows;
      } finally {
        await client.end();
      }
    },
  };
}

export function messageOf(text: string, time: number = Date.now()): Message {
  return { id: randomUUID(), time, data: JSON.stringify(text) };
}

export function textsOf({ messages }: Pick<Range, "messages">): readonly string[] {
  return messages.map(({ data }) => JSON.parse(data) as string);
}

/** `"1"` to `"n"`. */
export function numbers(count: number, from = 1): readonly string[] {
  return Array.from({ length: count }, (_, i) => String(from + i));
}
