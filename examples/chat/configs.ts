/** The same chat on three backbones: one process, a bus between gateways, and a bus with a memory. */
import type { ConfigInput } from "todoku";

export type Backbone = "embedded" | "redis-pubsub" | "redis-streams";

/** How many gateways may share the backbone. */
export const GATEWAYS: Readonly<Record<Backbone, number>> = { embedded: 1, "redis-pubsub": 2, "redis-streams": 2 };

/** `where` is a folder for `embedded`, and a Redis URL for the others. */
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
  }
}
