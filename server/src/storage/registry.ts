/** The kinds of storage that exist; the database's client library is loaded only when its storage is configured. */
import { z } from "zod";
import { BackboneError } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";
import { optionalDuration } from "../units.ts";
import type { Storage } from "./contract.ts";

export const storageSchema = z.discriminatedUnion("type", [
  z
    .strictObject({
      type: z.literal("postgres"),
      url: z
        .string()
        .regex(/^postgres(ql)?:\/\//, "must begin with postgres://")
        .describe("Where it is: `postgres://user:password@host:5432/database`; `?sslmode=verify-full` for TLS."),
      schema: z
        .string()
        .regex(/^[a-z_][a-z0-9_]{0,40}$/, "may have a-z 0-9 _")
        .default("todoku")
        .describe("Schema of the tables; it is made if it is missing."),
      keep: optionalDuration("1d").describe("Months that are older than this are dropped. Default: never."),
      connections: z.int().min(2).max(100).default(5).describe("Most connections of one process."),
    })
    .describe("PostgreSQL 14 or newer: one table that is partitioned by month."),
]);

export type StorageSettings = z.output<typeof storageSchema>;

/** Makes the storage that the settings describe; it is not open yet. `name` is the configuration's name for it. */
export async function createStorage(name: string, settings: StorageSettings, clock: Clock): Promise<Storage> {
  try {
    const { PostgresStorage } = await import("./postgres/postgres.ts");
    return new PostgresStorage(name, settings, clock);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND")) throw error;
    throw new BackboneError("invalid", `[${name}] needs the package pg. Install it: npm install pg`, { cause: error });
  }
}
