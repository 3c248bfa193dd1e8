/** What the supervisor and its processes say to each other, over the channel that Node gives to a forked process. */
import type { WorkerCount } from "../api/health.ts";
import type { MetricSnapshot } from "../api/metrics.ts";
import type { Config } from "../config.ts";
import type { OwnedElsewhere } from "../platform.ts";

/** To a process. */
export type Order =
  | {
      readonly order: "serve";
      /** From 1 on. */
      readonly worker: number;
      readonly config: Config;
      readonly stores: OwnedElsewhere;
      /** With the page at `/`. */
      readonly page: boolean;
      readonly workers: WorkerCount;
    }
  | { readonly order: "own"; readonly config: Config; readonly stores: OwnedElsewhere }
  /** Everybody leaves: clients are sent elsewhere, and `/health` says so. */
  | { readonly order: "drain" }
  /** This one leaves, the others go on. */
  | { readonly order: "leave" }
  | { readonly order: "measure"; readonly id: number }
  | { readonly order: "hear"; readonly id: number; readonly snapshots: readonly MetricSnapshot[] }
  | { readonly order: "count"; readonly workers: WorkerCount };

/** From a process. */
export type Report =
  | { readonly report: "ready"; readonly url: string; readonly internalUrl?: string }
  /** It could not start; it ends itself afterwards. */
  | { readonly report: "failed"; readonly problems: readonly string[]; readonly stack?: string }
  | { readonly report: "measured"; readonly id: number; readonly snapshot: MetricSnapshot }
  /** Somebody reads the metrics here. */
  | { readonly report: "asked"; readonly id: number; readonly snapshot: MetricSnapshot }
  /** So many clients are still to be sent elsewhere. */
  | { readonly report: "draining"; readonly clients: number }
  /** Somebody who is not the supervisor told it to end. */
  | { readonly report: "told to end" };
