/** What `npm start` serves: a namespace per guarantee and a queue, on the embedded log, open to anyone on this machine. */
import type { ConfigInput } from "./config.ts";

const open = { subscribe: "any", publish: "any", history: "any", presence: "any", join_leave: true } as const;

export const DEV_CONFIG: ConfigInput = {
  auth: { insecure: true },
  client: { rate: { publish: "500/s", commands: "2000/s", user: "off" } },
  drain: "0s",
  backbones: { local: { type: "embedded", path: "./todoku-data" } },
  namespaces: {
    "": { ...open, backbone: "local", delivery: "at-least-once" },
    ticker: { ...open, backbone: "local", delivery: "at-most-once" },
    // Without deduplication a repeated publish is stored again: the page shows what this promise allows.
    chat: { ...open, backbone: "local", delivery: "at-least-once", dedupe: "0s" },
    orders: {
      ...open,
      backbone: "local",
      delivery: "exactly-once",
      dedupe: "10m",
      redelivery: { max_attempts: 5, backoff: "500ms..10s", dead_letters: "dead:orders" },
    },
    jobs: { backbone: "local", publish: "any", consume: "any", queue: {} },
    dead: { ...open, backbone: "local", delivery: "at-least-once", publish: "none" },
  },
};
