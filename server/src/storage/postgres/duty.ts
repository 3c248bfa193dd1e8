/** The sole right to do something, as an advisory lock: PostgreSQL holds it for as long as a connection lives. */
import type { Client } from "pg";
import type { Clock } from "../../clock.ts";
import type { Duty } from "../contract.ts";

/** A process that is frozen says nothing: PostgreSQL then ends its connection, and with it the right. */
export const SILENCE_MS = 15_000;
const SIGN_OF_LIFE_MS = 5000;

/** `client` is connected, and used for nothing else. Resolves with undefined where somebody else has the duty. */
export async function takeDuty(client: Client, duty: string, clock: Clock): Promise<Duty | undefined> {
  const { promise: lost, resolve: lose } = Promise.withResolvers<void>();
  let cancel = (): void => {};
  const giveUp = async (): Promise<void> => {
    cancel();
    lose();
    await client.end().catch(() => {});
  };
  client.on("error", () => void giveUp());
  client.on("end", () => lose());
  try {
    await client.query(`set idle_session_timeout = ${SILENCE_MS}`);
    const { rows } = await client.query<{ mine: boolean }>(
      "select pg_try_advisory_lock(hashtextextended($1, 0)) as mine",
      [duty],
    );
    if (rows[0]?.mine !== true) {
      await giveUp();
      return undefined;
    }
  } catch (error) {
    await giveUp();
    throw error;
  }
  const live = (): void => {
    cancel = clock.after(SIGN_OF_LIFE_MS, () => {
      client.query("select 1").then(live, () => void giveUp());
    });
  };
  live();
  return { lost, giveUp };
}
