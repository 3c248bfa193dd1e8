/** Written by `npm run bench -- costs --write`: measured on one machine, so that others can be compared with it. */
import type { Costs } from "./cost-model.ts";

export const MEASURED_COSTS: Costs = {
  on: "2026-11-25, Node 24.21.0, 2 × AMD EPYC",
  processBytes: 59000000,
  connectionBytes: 3600,
  channelBytes: 1300,
  pingMicros: 22,
  connectMicros: 330,
  deliveryMicros: 12,
  publishMicros: {
    "at-most-once": 140,
    "at-least-once": 170,
    "exactly-once": 180,
  },
  frameMicros: 2.2,
};
