/** The tables of the archive, and how they are made. `docs/reference/storage.md` shows them to who asks them by SQL. */
import type { ClientBase } from "pg";
import { BackboneError } from "../../backbones/contract.ts";

/** Of the tables' form. A newer program raises it and brings older tables along. */
const FORM = 1;

/** Names are quoted where they are used; a schema's name has nothing that would need escaping. */
export interface Tables {
  readonly schema: string;
  readonly messages: string;
  readonly standings: string;
  readonly gaps: string;
  readonly forms: string;
}

export function tablesIn(schema: string): Tables {
  const of = (table: string): string => `"${schema}"."${table}"`;
  return {
    schema: `"${schema}"`,
    messages: of("messages"),
    standings: of("standings"),
    gaps: of("gaps"),
    forms: of("forms"),
  };
}

/** Makes what is missing; several processes may do so at once. @throws BackboneError `invalid` for tables of a newer program. */
export async function makeTables(client: ClientBase, tables: Tables): Promise<void> {
  await client.query("begin");
  try {
    await client.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [`todoku ${tables.schema} tables`]);
    await client.query(`create schema if not exists ${tables.schema}`);
    await client.query(
      `create table if not exists ${tables.forms} (form int primary key, made timestamptz not null default now())`,
    );
    const { rows } = await client.query<{ form: number }>(`select max(form) as form from ${tables.forms}`);
    const [{ form } = { form: 0 }] = rows;
    if (form > FORM) {
      throw new BackboneError(
        "invalid",
        `the tables in the schema ${tables.schema} have form ${form}, and this program knows ${FORM}. Run the newer program`,
      );
    }
    if (form < FORM) await client.query(made(tables));
    await client.query("commit");
  } catch (error) {
    await client.query("rollback").catch(() => {});
    throw error;
  }
}

function made({ messages, standings, gaps, forms }: Tables): string {
  return `
    create table ${messages} (
      channel  text        not null,
      epoch    text        not null,
      "offset" bigint      not null,
      time     timestamptz not null,
      id       text        not null,
      data     json        not null,
      info     json,
      tags     json,
      -- PostgreSQL wants the column that it partitions by in the key. A message's time never changes.
      primary key (channel, epoch, "offset", time)
    ) partition by range (time);
    create index on ${messages} (channel, time);

    create table ${standings} (
      channel text   primary key,
      epoch   text   not null,
      epochs  text[] not null,
      first   bigint not null,
      last    bigint not null
    );

    create table ${gaps} (
      channel text   not null,
      epoch   text   not null,
      first   bigint not null,
      last    bigint not null,
      primary key (channel, epoch, first)
    );

    insert into ${forms} (form) values (${FORM});
    comment on table ${messages} is 'What was published, each message at its position. Offsets rise within a channel and epoch.';
    comment on table ${standings} is 'Everything of a channel in (first, last] of its epoch is archived, but for its gaps.';
    comment on table ${gaps} is 'What the log had dropped before it could be archived: (first, last].';
  `;
}

/** The month that a message of this time lies in. */
export interface Month {
  /** As in `2026_11`. */
  readonly name: string;
  /** Both as `YYYY-MM-DD`. */
  readonly from: string;
  readonly to: string;
  /** ms since 1970. */
  readonly end: number;
}

export function monthOf(time: number): Month {
  const date = new Date(time);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()];
  const [begin, end] = [Date.UTC(year, month, 1), Date.UTC(year, month + 1, 1)];
  const day = (at: number): string => new Date(at).toISOString().slice(0, 10);
  return { name: day(begin).slice(0, 7).replace("-", "_"), from: day(begin), to: day(end), end };
}

/** Makes the partition of a month; several processes may do so at once. */
export async function makeMonth(client: ClientBase, schema: string, { messages }: Tables, month: Month): Promise<void> {
  await client.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [`todoku ${schema} months`]);
  await client.query(
    `create table if not exists "${schema}"."messages_${month.name}" partition of ${messages}
     for values from ('${month.from}T00:00:00Z') to ('${month.to}T00:00:00Z')`,
  );
}
