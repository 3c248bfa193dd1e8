/** A real broker for an example: found where it runs, else started for as long as the example does. */
import { bringUp, running, takeDown } from "../scripts/brokers/running.ts";

export interface BorrowedBroker {
  readonly urls: readonly string[];
  /** Ends it, if it was started for this. */
  giveBack(): Promise<void>;
}

/** `name` as in `npm run brokers`. @throws Error with the reason why it cannot be had. */
export async function borrowBroker(name: string): Promise<BorrowedBroker> {
  const ran = running(name) !== undefined;
  const { urls } = await bringUp(name);
  return { urls, giveBack: async () => (ran ? undefined : takeDown(name)) };
}
