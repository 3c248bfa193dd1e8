/** Whether the process lives, and whether it can do its work. */
import type { Backbone } from "../backbones/contract.ts";
import type { Clock } from "../clock.ts";
import type { HttpResponse } from "../http-exchange.ts";

const CHECK_MS = 3000;
/** Whoever sends clients here asks more often than this whether it may. */
const PROBED_MS = 60_000;

/** How many of the processes that serve clients together are there. */
export interface WorkerCount {
  readonly running: number;
  readonly configured: number;
}

export class Health {
  readonly #backbones: ReadonlyMap<string, Pick<Backbone, "check">>;
  readonly #clock: Clock;
  readonly #workers: (() => WorkerCount) | undefined;
  #draining = false;
  #probedAt = Number.NEGATIVE_INFINITY;

  /** `workers` is absent where this process serves alone. */
  constructor(backbones: ReadonlyMap<string, Pick<Backbone, "check">>, clock: Clock, workers?: () => WorkerCount) {
    this.#backbones = backbones;
    this.#clock = clock;
    this.#workers = workers;
  }

  /** Not ready from now on: load balancers send clients elsewhere. */
  drain(): void {
    this.#draining = true;
  }

  /** Somebody, such as a load balancer, goes by what this answers. */
  get heeded(): boolean {
    return this.#clock.now() - this.#probedAt < PROBED_MS;
  }

  /** 200 or 503 with `{status, backbones, workers?}`; `live` is 200 as long as the process answers. */
  async answer(response: HttpResponse, probe: "live" | "ready"): Promise<void> {
    if (probe === "ready") this.#probedAt = this.#clock.now();
    const checks = probe === "live" ? [] : await Promise.all([...this.#backbones].map((entry) => this.#check(entry)));
    const ok = probe === "live" || (!this.#draining && checks.every(([, state]) => state === "ok"));
    const status = this.#draining ? "draining" : ok ? "ok" : "unavailable";
    response.writeHead(ok ? 200 : 503, { "content-type": "application/json", "cache-control": "no-store" });
    const workers = this.#workers?.();
    const details = { backbones: Object.fromEntries(checks), ...(workers && { workers }) };
    response.end(JSON.stringify({ status, ...(probe === "ready" && details) }));
  }

  #check([name, backbone]: [string, Pick<Backbone, "check">]): Promise<[string, string]> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(CHECK_MS, () => resolve([name, "no answer"]));
      backbone
        .check()
        .then(
          () => resolve([name, "ok"]),
          () => resolve([name, "unavailable"]),
        )
        .finally(cancel);
    });
  }
}
