/** Written by `npm run bench -- costs --write`: measured on one machine, so that others can be compared with it. */
import type { Costs } from "./cost-model.ts";

export const MEASURED_COSTS: Costs = {
  on: "2026-11-25, Node 24.21.0, 2 × AMD EPYC, while other programs ran",
  processBytes: 58000000,
  connectionBytes: 6000,
  channelBytes: 3300,
  pingMicros: 36,
  connectMicros: 500,
  deliveryMicros: 14,
  publishMicros: {
    "at-most-once": 240,
    "at-least-once": 280,
    "exactly-once": 270,
  },
  frameMicros: 2.3,
};
