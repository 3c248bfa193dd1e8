/**
 * The backbones that exist: one row each. A row holds the settings that the configuration accepts, the capability
 * record, the facets, and how to make one; the broker's client library is loaded only when its backbone is made.
 */
import { z } from "zod";
import type { Clock } from "../clock.ts";
import { optionalBytes } from "../units.ts";
import type { Backbone, Capabilities, Facet } from "./contract.ts";
import { EMBEDDED_CAPABILITIES } from "./embedded/capabilities.ts";
import { MEMORY_CAPABILITIES } from "./memory.ts";

export interface BackboneType {
  readonly capabilities: Capabilities;
  readonly facets: readonly Facet[];
}

/** What each type of backbone can promise, without making one. */
export const BACKBONE_TYPES: Readonly<Record<BackboneSettings["type"], BackboneType>> = {
  memory: { capabilities: MEMORY_CAPABILITIES, facets: ["bus", "log", "cursors"] },
  embedded: { capabilities: EMBEDDED_CAPABILITIES, facets: ["bus", "log", "cursors"] },
};

export const backboneSchema = z.discriminatedUnion("type", [
  z
    .strictObject({
      type: z.literal("memory"),
      bytes: optionalBytes.describe("Most bytes of messages in all channels together. Default 256MiB."),
    })
    .describe("In the process; nothing survives it."),
  z
    .strictObject({
      type: z.literal("embedded"),
      path: z.string().default("./todoku-data").describe("Folder of the log; one process at a time."),
      map_size: optionalBytes.describe("Largest size of the log on disk. Default 64GiB (it grows as needed)."),
    })
    .describe("A durable log in the gateway's own process."),
]);

export type BackboneSettings = z.output<typeof backboneSchema>;

/** Makes the backbone that the settings describe; it is not open yet. `name` is the configuration's name for it. */
export async function createBackbone(name: string, settings: BackboneSettings, clock: Clock): Promise<Backbone> {
  switch (settings.type) {
    case "memory": {
      const { MemoryBackbone } = await import("./memory.ts");
      return new MemoryBackbone({ ...(settings.bytes !== undefined && { bytes: settings.bytes }) }, clock);
    }
    case "embedded": {
      const { EmbeddedBackbone } = await import("./embedded/embedded.ts");
      const { path, map_size } = settings;
      return new EmbeddedBackbone(name, { path, ...(map_size !== undefined && { mapSize: map_size }) }, clock);
    }
  }
}
