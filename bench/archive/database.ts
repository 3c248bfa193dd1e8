/** A PostgreSQL of a contender's own, on the first core. */
import { Client } from "pg";
import { ownServers } from "../../scripts/brokers/own-servers.ts";
import { messageOf } from "../brokers/way.ts";
import { pin, SERVER_CORE } from "../process-cost.ts";

export const SCHEMA = "bench";

export interface Database extends AsyncDisposable {
  readonly url: string;
  /** Connected; the tables of the archive are found by their bare names. */
  readonly client: Client;
}

export async function database(): Promise<Database> {
  const { urls, servers, end } = await ownServers("postgres");
  const [url = ""] = urls;
  // Its processes are started from this one, and stay on its core.
  for (const { pid } of servers) pin(pid ?? 0, SERVER_CORE);
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`set search_path to ${SCHEMA}`);
  return {
    url,
    client,
    [Symbol.asyncDispose]: async () => {
      await client.end();
      await end();
    },
  };
}

/** What is missing in the table `messages`, is there twice, or is not the message that it should be. */
export async function faultsIn({ client }: Database, expected: number): Promise<readonly string[]> {
  const { rows } = await client.query<{ rows: string; positions: string }>(
    `select count(*) as rows, count(distinct (channel, epoch, "offset")) as positions from messages`,
  );
  const [count, positions] = [Number(rows[0]?.rows), Number(rows[0]?.positions)];
  const wrong = await wrongRows(client);
  return [
    ...(positions === expected ? [] : [`${positions} of ${expected} archived`]),
    ...(count === positions ? [] : [`${count - positions} repeated`]),
    ...(wrong === 0 ? [] : [`${wrong} wrong`]),
  ];
}

/** Rows whose data is not that of the message that their id names. */
async function wrongRows(client: Client): Promise<number> {
  const { rows } = await client.query<{ id: string; data: string }>(`select id, data::text as data from messages`);
  return rows.filter(({ id, data }) => data !== messageOf(Number(id.slice(id.lastIndexOf("-") + 1))).data).length;
}
