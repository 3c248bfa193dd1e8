/** How a test gets its broker. */
import { bringUp, type Running } from "./running.ts";

/** A broker, or the reason to skip what needs it: pass `skip` on to the test runner. */
export type Needed = (Running & { readonly skip: false }) | { readonly skip: string };

/**
 * Finds or starts a broker.
 *
 * @throws Error where it cannot be had and `TODOKU_REQUIRE_BROKERS=all` says that it must.
 */
export async function needBroker(name: string): Promise<Needed> {
  try {
    return { ...(await bringUp(name)), skip: false };
  } catch (error) {
    if (process.env["TODOKU_REQUIRE_BROKERS"] === "all") throw error;
    const reason = `${name} cannot be had: ${error instanceof Error ? error.message : String(error)}`;
    console.error(`skipped: ${reason}`);
    return { skip: reason };
  }
}
