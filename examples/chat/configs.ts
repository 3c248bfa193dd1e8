/** The same chat on four backbones: one process, a bus between gateways, and two with a memory. */
import type { ConfigInput } from "todoku";

export type Backbone = "embedded" | "redis-pubsub" | "redis-streams" | "kafka";

/** How many gateways share the backbone, and the broker of `npm run brokers` that they meet on. */
export const BACKBONES: Readonly<Record<Backbone, { readonly gateways: number; readonly broker?: "redis" | "kafka" }>> =
  {
    embedded: { gateways: 1 },
    "redis-pubsub": { gateways: 2, broker: "redis" },
    "redis-streams": { gateways: 2, broker: "redis" },
    kafka: { gateways: 2, broker: "kafka" },
  };

/** `where` is a folder for `embedded`, and the address of the broker for the others. */
export function configOf(backbone: Backbone, where: string): ConfigInput {
  const open = { backbone: "main", subscribe: "any", publish: "any" } as const;
  switch (backbone) {
    case "embedded":
      return {
        backbones: { main: { type: "embedded", path: where } },
        namespaces: { chat: { ...open, delivery: "exactly-once" } },
      };
    case "redis-pubsub":
      return {
        backbones: { main: { type: "redis-pubsub", url: where } },
        namespaces: { chat: open },
      };
    case "redis-streams":
      return {
        backbones: { main: { type: "redis-streams", url: where } },
        namespaces: { chat: { ...open, delivery: "exactly-once" } },
      };
    case "kafka":
      return {
        backbones: { main: { type: "kafka", brokers: [where], partitions: 3 } },
        namespaces: { chat: { ...open, delivery: "exactly-once" } },
      };
  }
}
