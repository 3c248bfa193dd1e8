/** One of several processes that serve clients on one port. */
import type { MetricSnapshot } from "../api/metrics.ts";
import { createLogger } from "../logger.ts";
import { returnMemory } from "../memory-return.ts";
import { servePage } from "../page/page.ts";
import { startServer, type RunningServer } from "../server.ts";
import type { Say, Work } from "./child.ts";
import type { Order } from "./messages.ts";

const PROGRESS_MS = 1000;
/** The supervisor answers from what it knows when a process is slow; without an answer, this one's metrics are shown alone. */
const PATIENCE_MS = 3000;

/** Serves, and reports when it is ready. Rejects as `startServer` does. */
export async function serveClients(
  { worker, config, stores, page, workers }: Extract<Order, { order: "serve" }>,
  say: Say,
): Promise<Work> {
  const logger = createLogger(config.log).child({ worker });
  const questions = new Map<number, (snapshots: readonly MetricSnapshot[]) => void>();
  let asked = 0;
  let count = workers;
  const whole = (own: MetricSnapshot): Promise<readonly MetricSnapshot[]> =>
    new Promise((resolve) => {
      const id = asked++;
      const late = setTimeout(() => answer([]), PATIENCE_MS);
      const answer = (others: readonly MetricSnapshot[]): void => {
        clearTimeout(late);
        questions.delete(id);
        resolve([own, ...others]);
      };
      questions.set(id, answer);
      void say({ report: "asked", id, snapshot: own });
    });
  const server = await startServer(config, {
    logger,
    ...(page && { page: servePage(config) }),
    worker: { number: worker, stores, count: () => count, whole },
  });
  const { url, internalUrl, todoku } = server;
  const stopReturning = returnMemory(todoku.gateway);
  const measure = async (id: number): Promise<void> =>
    say({ report: "measured", id, snapshot: await todoku.snapshot() });
  let leaving = false;
  const leave = async (how: "drain" | "leave"): Promise<void> => {
    if (leaving) return;
    leaving = true;
    stopReturning();
    await part(server, how, say);
    // What was counted until the end is not lost from the whole.
    await measure(-1);
    process.exit(0);
  };
  await say({ report: "ready", url, ...(internalUrl !== undefined && { internalUrl }) });
  return {
    order: (order) => {
      switch (order.order) {
        case "drain":
        case "leave":
          void leave(order.order);
          break;
        case "measure":
          void measure(order.id);
          break;
        case "hear":
          questions.get(order.id)?.(order.snapshots);
          break;
        case "count":
          count = order.workers;
          break;
        case "serve":
        case "own":
          break;
      }
    },
    orphaned: async () => {},
  };
}

/** Sends the clients elsewhere, and says how many are left as long as there are any. */
async function part(server: RunningServer, how: "drain" | "leave", say: Say): Promise<void> {
  const tell = (): void => void say({ report: "draining", clients: server.todoku.gateway.connections });
  const progress = setInterval(tell, PROGRESS_MS);
  tell();
  try {
    await server[how]();
  } finally {
    clearInterval(progress);
  }
}
