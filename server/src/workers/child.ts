/** What the supervisor starts: a process that does as it is ordered, and does not outlive it. */
import { createLogger } from "../logger.ts";
import type { Order, Report } from "./messages.ts";

/** Resolves when it was said, or when nobody hears it any more. */
export type Say = (report: Report) => Promise<void>;

/** A process at its work. */
export interface Work {
  order(order: Order): void;
  /** The supervisor is gone. */
  orphaned(): Promise<void>;
}

const say: Say = (report) =>
  new Promise((resolve) => {
    if (process.connected) process.send?.(report, () => resolve());
    else resolve();
  });

// What nobody foresaw leaves a state that nobody knows. The process ends, and its supervisor starts another. Bun would go on
// after a promise that nobody heard reject.
process.on("uncaughtException", endByError);
process.on("unhandledRejection", endByError);
// A terminal and a service manager signal all processes at once. The supervisor decides in which order they end.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
process.on("SIGTERM", () => void say({ report: "told to end" }));

let work: Promise<Work> | undefined;

process.on("message", (order: Order) => {
  if (work) void work.then((begun) => begun.order(order));
  else work = begin(order);
});
process.on("disconnect", () => {
  void work
    ?.then((begun) => begun.orphaned())
    .catch(() => {})
    .finally(() => process.exit(1));
  if (!work) process.exit(1);
});

async function begin(order: Order): Promise<Work> {
  // What it is called in the system's list of processes.
  process.title = order.order === "serve" ? `todoku worker ${order.worker}` : "todoku store";
  try {
    if (order.order === "serve") return await (await import("./worker.ts")).serveClients(order, say);
    if (order.order === "own") return await (await import("./store-owner.ts")).ownStores(order, say);
    throw new Error(`a process cannot begin with ${order.order}`);
  } catch (error) {
    const problems = error instanceof Error && "problems" in error ? (error.problems as string[]) : undefined;
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    await say({ report: "failed", problems: problems ?? [message], ...(stack !== undefined && { stack }) });
    process.exit(1);
  }
}

function endByError(error: unknown): never {
  createLogger({ level: "error" }).error({ error }, "ended by an error that nobody foresaw; please report it");
  process.exit(1);
}
