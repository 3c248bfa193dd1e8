/**
 * PostgreSQL as the storage behind the logs.
 *
 * Connection: a small pool, and one connection for each duty. Nothing is retried here: who calls may call again. The tables are
 * made when the database is first reached.
 *
 * Delivery semantics: a message's position is its key, so that it is stored once, whoever archives it and however often. What was
 * archived and how far is written in one transaction.
 *
 * Capabilities: everything is kept until `keep`, by whole months.
 *
 * Limits: one table for all namespaces that name this storage; a channel's history is read through the index of every month that
 * is kept.
 */
import type { Epoch, Position } from "@todoku/protocol";
import { Client, Pool, type PoolClient } from "pg";
import { BackboneError, type StoredMessage } from "../../backbones/contract.ts";
import type { Clock } from "../../clock.ts";
import type { ArchiveReadOptions, Duty, Kept, Standing, Storage, Stretch } from "../contract.ts";
import type { StorageSettings } from "../registry.ts";
import { SILENCE_MS, takeDuty } from "./duty.ts";
import { asBackboneError } from "./failure.ts";
import { above, below, boundOf, onto, sharedUpTo, type Part, type StandingRow, type Written } from "./standing.ts";
import { makeMonth, makeTables, monthOf, tablesIn, type Month, type Tables } from "./tables.ts";

const CONNECT_MS = 3000;
const QUERY_MS = 30_000;

interface MessageRow {
  readonly offset: string;
  readonly ms: string;
  readonly id: string;
  readonly data: string;
  readonly info: string | null;
  readonly tags: string | null;
}

export class PostgresStorage implements Storage {
  readonly type = "postgres";
  readonly #name: string;
  readonly #settings: StorageSettings;
  readonly #clock: Clock;
  readonly #tables: Tables;
  readonly #pool: Pool;
  readonly #months = new Set<string>();
  readonly #duties = new Set<Duty>();
  #made: Promise<void> | undefined;
  #closed = false;

  constructor(name: string, settings: StorageSettings, clock: Clock) {
    this.#name = name;
    this.#settings = settings;
    this.#clock = clock;
    this.#tables = tablesIn(settings.schema);
    this.#pool = new Pool({
      ...this.#connection(),
      max: settings.connections,
      allowExitOnIdle: true,
    });
    // A connection that breaks is replaced by the next one that is needed; who uses it hears of it from the query.
    this.#pool.on("error", () => {});
    this.#pool.on("connect", (client) => client.on("error", () => {}));
  }

  async open(): Promise<void> {
    try {
      await this.#run(async () => {});
    } catch (error) {
      if (error instanceof BackboneError && error.reason !== "invalid") return;
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const ended = Promise.all([...[...this.#duties].map((duty) => duty.giveUp()), this.#pool.end()]);
    const { promise: impatient, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(CONNECT_MS, resolve);
    await Promise.race([ended, impatient]);
    cancel();
  }

  async check(): Promise<void> {
    await this.#run((client) => client.query("select 1"));
  }

  async standings(channels: readonly string[]): Promise<readonly (Standing | undefined)[]> {
    const { rows } = await this.#run((client) =>
      client.query<StandingRow>({
        name: "standings",
        text: `select channel, epoch, last from ${this.#tables.standings} where channel = any($1)`,
        values: [channels],
      }),
    );
    const known = new Map(rows.map((row) => [row.channel, row]));
    return channels.map((channel) => {
      const row = known.get(channel);
      return row && { channel, epoch: row.epoch, offset: Number(row.last) };
    });
  }

  async write(stretches: readonly Stretch[]): Promise<void> {
    const months = new Map(
      stretches
        .flatMap(({ messages }) => messages.map(({ time }) => monthOf(time)))
        .map((month) => [month.name, month]),
    );
    for (const name of this.#months) months.delete(name);
    try {
      await this.#write(stretches, [...months.values()]);
    } catch (error) {
      // Another process may have dropped a month.
      this.#months.clear();
      throw error;
    }
    for (const name of months.keys()) this.#months.add(name);
  }

  async #write(stretches: readonly Stretch[], months: readonly Month[]): Promise<void> {
    await this.#transaction(async (client) => {
      // A row that has no partition would be refused.
      for (const month of months) await makeMonth(client, this.#settings.schema, this.#tables, month);
      const channels = stretches.map(({ channel }) => channel);
      // Who removes a channel meanwhile comes before or after this, never in between.
      const { rows } = await client.query<StandingRow>(
        `select channel, epoch, epochs, first, last from ${this.#tables.standings} where channel = any($1) order by channel for update`,
        [channels],
      );
      const known = new Map(rows.map((row) => [row.channel, row]));
      const written = stretches.flatMap((stretch) => onto(known.get(stretch.channel), stretch) ?? []);
      await this.#insert(client, written);
      await this.#stand(client, written);
    });
  }

  read(channel: string, epoch: Epoch, options: ArchiveReadOptions): Promise<Kept> {
    return this.#run(async (client) => {
      const { rows } = await client.query<StandingRow>({
        name: "standing",
        text: `select channel, epoch, epochs, first, last from ${this.#tables.standings} where channel = $1`,
        values: [channel],
      });
      const { after, reverse = false } = options;
      const nothing = { messages: [], from: after, to: after };
      const [standing] = rows;
      const last = standing && sharedUpTo(standing, epoch);
      if (standing === undefined || last === undefined) return nothing;
      const lowest = Number(standing.first);
      if (reverse ? after <= lowest + 1 : after >= last) return nothing;
      const gaps = await this.#gaps(client, channel, epoch);
      const part = reverse
        ? below(gaps, lowest, Math.min(last, after - 1))
        : above(gaps, Math.max(after, lowest), last);
      if (part.to <= part.from) return { ...nothing, from: part.from, to: part.from };
      const { messages, whole } = await this.#messages(client, channel, epoch, part, options);
      const reached = messages.at(-1)?.offset;
      if (whole || reached === undefined) return { messages, ...part };
      return reverse ? { messages, from: reached - 1, to: part.to } : { messages, from: part.from, to: reached };
    });
  }

  async remove(channel: string, { epoch, offset }: Position): Promise<void> {
    const { messages, standings, gaps } = this.#tables;
    await this.#transaction(async (client) => {
      await client.query(
        `insert into ${standings} as s (channel, epoch, epochs, first, last) values ($1, $2, array[$2], $3, $3)
         on conflict (channel) do update set epoch = $2, epochs = array[$2], first = $3,
           last = greatest($3, case when s.epoch = $2 then s.last end)`,
        [channel, epoch, offset],
      );
      await client.query(`delete from ${messages} where channel = $1 and not (epoch = $2 and "offset" > $3)`, [
        channel,
        epoch,
        offset,
      ]);
      await client.query(`delete from ${gaps} where channel = $1`, [channel]);
    });
  }

  async forget(time: number): Promise<void> {
    const { schema } = this.#settings;
    const { rows } = await this.#run((client) =>
      client.query<{ name: string }>(
        `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::regclass`,
        [this.#tables.messages],
      ),
    );
    for (const { name } of rows) {
      const [, year, month] = /^messages_(\d{4})_(\d{2})$/.exec(name) ?? [];
      if (year === undefined || monthOf(Date.UTC(Number(year), Number(month) - 1)).end > time) continue;
      await this.#transaction(async (client) => {
        const old = `"${schema}"."${name}"`;
        await client.query(
          `update ${this.#tables.standings} s set first = greatest(s.first, gone.last), last = greatest(s.last, gone.last)
           from (select channel, epoch, max("offset") as last from ${old} group by channel, epoch) gone
           where s.channel = gone.channel and gone.epoch = any(s.epochs)`,
        );
        await client.query(`drop table ${old}`);
      });
      this.#months.delete(name.slice("messages_".length));
    }
  }

  async take(duty: string): Promise<Duty | undefined> {
    await this.#run(async () => {});
    const client = new Client(this.#connection());
    client.on("error", () => {});
    try {
      await client.connect();
      const taken = await takeDuty(client, `todoku ${this.#settings.schema} ${duty}`, this.#clock);
      if (!taken) return undefined;
      if (this.#closed) {
        await taken.giveUp();
        return undefined;
      }
      this.#duties.add(taken);
      void taken.lost.then(() => this.#duties.delete(taken));
      return taken;
    } catch (error) {
      await client.end().catch(() => {});
      throw this.#failure(error);
    }
  }

  // ── what is written ────────────────────────────────────────────────────────

  async #insert(client: PoolClient, written: readonly Written[]): Promise<void> {
    const rows = written.flatMap(({ stretch: { channel, epoch, messages }, first }) =>
      messages.filter(({ offset }) => offset > first).map((message) => ({ channel, epoch, message })),
    );
    if (rows.length === 0) return;
    await client.query({
      name: "archive",
      text: `insert into ${this.#tables.messages} (channel, epoch, "offset", time, id, data, info, tags)
             select channel, epoch, "offset", to_timestamp(ms / 1000.0), id, data::json, info::json, tags::json
             from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[])
               as given(channel, epoch, "offset", ms, id, data, info, tags)
             on conflict do nothing`,
      values: [
        rows.map(({ channel }) => channel),
        rows.map(({ epoch }) => epoch),
        rows.map(({ message }) => message.offset),
        rows.map(({ message }) => message.time),
        rows.map(({ message }) => message.id),
        rows.map(({ message }) => message.data),
        rows.map(({ message: { info } }) => (info ? JSON.stringify(info) : null)),
        rows.map(({ message: { tags } }) => (tags ? JSON.stringify(tags) : null)),
      ],
    });
  }

  async #stand(client: PoolClient, written: readonly Written[]): Promise<void> {
    await client.query({
      name: "stand",
      text: `insert into ${this.#tables.standings} as s (channel, epoch, epochs, first, last)
             select channel, epoch, string_to_array(epochs, ' '), first, last
             from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) as given(channel, epoch, epochs, first, last)
             on conflict (channel) do update
             set epoch = excluded.epoch, epochs = excluded.epochs, first = excluded.first, last = excluded.last`,
      values: [
        written.map(({ stretch }) => stretch.channel),
        written.map(({ stretch }) => stretch.epoch),
        written.map(({ epochs }) => epochs.join(" ")),
        written.map(({ first }) => first),
        written.map(({ last }) => last),
      ],
    });
    const missed = written.flatMap(({ stretch, gap }) => (gap ? [{ ...stretch, ...gap }] : []));
    if (missed.length === 0) return;
    await client.query(
      `insert into ${this.#tables.gaps} (channel, epoch, first, last)
       select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) on conflict do nothing`,
      [
        missed.map(({ channel }) => channel),
        missed.map(({ epoch }) => epoch),
        missed.map(({ from }) => from),
        missed.map(({ to }) => to),
      ],
    );
  }

  // ── what is read ───────────────────────────────────────────────────────────

  async #gaps(client: PoolClient, channel: string, epoch: Epoch): Promise<readonly Part[]> {
    const { rows } = await client.query<{ epoch: string; first: string; last: string }>({
      name: "gaps",
      text: `select epoch, first, last from ${this.#tables.gaps} where channel = $1 order by first`,
      values: [channel],
    });
    return rows.flatMap((row) => {
      const bound = boundOf(row.epoch, epoch);
      return bound === undefined || Number(row.first) >= bound
        ? []
        : [{ from: Number(row.first), to: Number(row.last) }];
    });
  }

  async #messages(
    client: PoolClient,
    channel: string,
    { epoch, forks = [] }: Epoch,
    { from, to }: Part,
    { limit, maxBytes, reverse = false }: ArchiveReadOptions,
  ): Promise<{ readonly messages: readonly StoredMessage[]; readonly whole: boolean }> {
    const lineage = [...forks, { epoch, offset: Number.MAX_SAFE_INTEGER }];
    const { rows } = await client.query<MessageRow>({
      name: reverse ? "messages back" : "messages",
      text: `select m."offset", (extract(epoch from m.time) * 1000)::bigint as ms, m.id, m.data::text, m.info::text, m.tags::text
             from ${this.#tables.messages} m
             join unnest($2::text[], $3::bigint[]) as lineage(epoch, bound) on m.epoch = lineage.epoch and m."offset" <= lineage.bound
             where m.channel = $1 and m."offset" > $4 and m."offset" <= $5
             order by m."offset" ${reverse ? "desc" : "asc"} limit $6`,
      values: [channel, lineage.map((one) => one.epoch), lineage.map((one) => one.offset), from, to, limit],
    });
    const messages: StoredMessage[] = [];
    let bytes = 0;
    for (const row of rows) {
      messages.push(messageOf(row));
      bytes += Buffer.byteLength(row.data);
      if (maxBytes !== undefined && bytes >= maxBytes) return { messages, whole: false };
    }
    return { messages, whole: messages.length < limit };
  }

  // ── the connection ─────────────────────────────────────────────────────────

  #connection(): { connectionString: string; [option: string]: unknown } {
    return {
      connectionString: this.#settings.url,
      connectionTimeoutMillis: CONNECT_MS,
      statement_timeout: QUERY_MS,
      query_timeout: QUERY_MS + CONNECT_MS,
      // Who is frozen in the middle holds rows that whoever takes over must write.
      idle_in_transaction_session_timeout: SILENCE_MS,
      keepAlive: true,
      application_name: "todoku",
    };
  }

  async #run<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    if (this.#closed) throw new BackboneError("unavailable", `[${this.#name}] the storage is closed`);
    let client: PoolClient | undefined;
    try {
      client = await this.#pool.connect();
      await this.#ready(client);
      const result = await work(client);
      client.release();
      return result;
    } catch (error) {
      // A connection that has failed once is not worth another try.
      client?.release(true);
      throw this.#failure(error);
    }
  }

  #transaction<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    return this.#run(async (client) => {
      await client.query("begin");
      const result = await work(client);
      await client.query("commit");
      return result;
    });
  }

  /** The tables are looked after once, by whoever reaches the database first. */
  async #ready(client: PoolClient): Promise<void> {
    this.#made ??= makeTables(client, this.#tables).catch((error: unknown) => {
      this.#made = undefined;
      throw error;
    });
    await this.#made;
  }

  #failure(error: unknown): BackboneError {
    return asBackboneError(this.#name, this.#settings.url, error);
  }
}

function messageOf({ offset, ms, id, data, info, tags }: MessageRow): StoredMessage {
  return {
    id,
    time: Number(ms),
    data,
    offset: Number(offset),
    ...(info !== null && { info: JSON.parse(info) as NonNullable<StoredMessage["info"]> }),
    ...(tags !== null && { tags: JSON.parse(tags) as NonNullable<StoredMessage["tags"]> }),
  };
}
