/** The same rows into the same table, as anybody would insert many. */
import { createStorage, storageSchema } from "../../server/src/storage/registry.ts";
import { systemClock } from "../../server/src/clock.ts";
import { messageOf } from "../brokers/way.ts";
import type { Measured } from "../scenario.ts";
import { channelOf, MESSAGES, measuredOf } from "./archived.ts";
import { database, faultsIn, SCHEMA } from "./database.ts";

/** As many as an archiver writes at most. */
const TOGETHER = 5000;

export async function inserted(): Promise<Measured> {
  await using postgres = await database();
  const { client, url } = postgres;
  const settings = storageSchema.parse({ type: "postgres", url, schema: SCHEMA });
  const storage = await createStorage("bench", settings, systemClock);
  await storage.open();
  // Makes the month.
  const { time } = messageOf(0);
  const [epoch, messages] = ["bare", [{ ...messageOf(0), offset: 1 }]];
  await storage.write([{ channel: "before", epoch, after: 0, upTo: 1, messages }]);
  await storage.close();
  const [begun, used] = [performance.now(), process.cpuUsage()];
  for (let i = 0; i < MESSAGES - 1; i += TOGETHER) {
    const rows = Array.from({ length: Math.min(TOGETHER, MESSAGES - 1 - i) }, (_, j) => i + j);
    const all = rows.map((n) => messageOf(n));
    await client.query({
      name: "insert",
      text: `insert into messages (channel, epoch, "offset", time, id, data)
             select channel, $2, "offset", to_timestamp($4 / 1000.0), id, data::json
             from unnest($1::text[], $3::bigint[], $5::text[], $6::text[]) as given(channel, "offset", id, data)`,
      values: [
        rows.map((n) => channelOf(n)),
        epoch,
        rows.map((n) => n + 1),
        time,
        all.map(({ id }) => id),
        all.map(({ data }) => data),
      ],
    });
  }
  return { ...measuredOf(begun, used), faults: await faultsIn(postgres, MESSAGES) };
}
