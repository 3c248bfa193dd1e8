/** The positions of a consumer in PostgreSQL: committed with its effects or not at all. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { describe, test, type TestContext } from "node:test";
import { ERRORS, TodokuError } from "@todoku/protocol";
import { Pool, type PoolClient } from "pg";
import { needBroker } from "../../../scripts/brokers/need.ts";
import type { Message } from "../message.ts";
import { postgresCursors, type PostgresCursors, type PostgresCursorsOptions, type ConnectionOf } from "./postgres.ts";

const broker = await needBroker("postgres");
const CHANNEL = "transfers:all";

type Cursors = PostgresCursors<ConnectionOf<Pool>>;

interface Case {
  readonly pool: Pool;
  readonly schema: string;
  /** More connections, with these options. */
  connect(options: string): Pool;
  /** One more process, as it were. */
  cursors(options?: Partial<PostgresCursorsOptions>): Cursors;
  effects(): Promise<readonly number[]>;
  /** In a transaction of the test's own, which is committed. */
  transaction(work: (connection: PoolClient) => Promise<void>): Promise<void>;
  /** What there is without `cursors`. */
  standing(): Promise<{ readonly epoch: string; readonly offset: string } | undefined>;
}

/** A schema of its own with a table for effects, and connections to it. */
async function start(t: TestContext): Promise<Case> {
  assert.ok(broker.skip === false);
  const [connectionString = ""] = broker.urls;
  const schema = `cursors_${randomUUID().slice(0, 8)}`;
  const connect = (options = ""): Pool => {
    const pool = new Pool({ connectionString, options: `-c search_path=${schema} ${options}` });
    t.after(() => pool.end());
    pool.on("error", () => {});
    return pool;
  };
  const pool = connect();
  await pool.query(
    `create schema ${schema}; create table effects (id serial, n int not null unique deferrable initially deferred)`,
  );
  return {
    pool,
    schema,
    connect,
    cursors: (options) => {
      const cursors = postgresCursors(pool, { consumer: "ledger", onError: () => {}, ...options });
      t.after(() => cursors.close());
      return cursors;
    },
    effects: async () => (await pool.query<{ n: number }>("select n from effects order by id")).rows.map(({ n }) => n),
    transaction: async (work) => {
      const connection = await pool.connect();
      try {
        await connection.query("begin");
        await work(connection);
        await connection.query("commit");
      } finally {
        connection.release(true);
      }
    },
    standing: async () =>
      (await pool.query<{ epoch: string; offset: string }>(`select epoch, "offset" from todoku_cursors`)).rows[0],
  };
}

function message(offset: number, epoch = "a"): Message {
  return { channel: CHANNEL, data: offset, epoch, offset, redelivered: false };
}

/** Writes the message's number; `then` is what happens between that and the commit. */
function writes(cursors: Cursors, then: (n: number) => unknown = () => {}): (message: Message) => unknown {
  return cursors.handler(async ({ data }, transaction) => {
    await transaction.query("insert into effects (n) values ($1)", [data]);
    await then(Number(data));
  });
}

describe("the PostgreSQL store", { skip: broker.skip }, () => {
  test("K19 the store makes its table, and gives back the position that was set last, by channel and consumer", async (t) => {
    const at = await start(t);
    const [first, second] = [at.cursors(), at.cursors({ consumer: "mailer" })];
    await Promise.all([first, second].map(async (store) => assert.equal(await store.get(CHANNEL), undefined)));
    await first.set(CHANNEL, { epoch: "a", offset: 9_007_199_254_740_991 });
    assert.deepEqual(await at.cursors().get(CHANNEL), { epoch: "a", offset: 9_007_199_254_740_991 });
    assert.equal(await second.get(CHANNEL), undefined);
    assert.equal(await first.get("transfers:other"), undefined);
    await second.set(CHANNEL, { epoch: "a", offset: 1 });
    await second.delete(CHANNEL);
    assert.equal(await second.get(CHANNEL), undefined);
  });

  test("K14 a log that was rewound leads the position back, also within its epoch, and what follows has its effect", async (t) => {
    const at = await start(t);
    const cursors = at.cursors();
    await cursors.get(CHANNEL);
    const handle = writes(cursors);
    for (const offset of [1, 2, 3, 4]) {
      await handle(message(offset));
      await cursors.set(CHANNEL, { epoch: "a", offset });
    }
    // As the client does at a gap.
    await cursors.set(CHANNEL, { epoch: "a", offset: 2 });
    assert.deepEqual(await at.standing(), { epoch: "a", offset: "2" });
    for (const offset of [3, 4]) await handle({ ...message(offset), data: offset + 10 });
    assert.deepEqual(await at.effects(), [1, 2, 3, 4, 13, 14]);
    await cursors.set(CHANNEL, { epoch: "b", offset: 1 });
    assert.deepEqual(await at.standing(), { epoch: "b", offset: "1" });
  });

  test("a message that comes again, and what the client stores after it, leave the position where it is", async (t) => {
    const at = await start(t);
    const cursors = at.cursors();
    await cursors.get(CHANNEL);
    const handle = writes(cursors);
    for (const offset of [1, 2, 3]) await handle(message(offset));
    await handle(message(1));
    await cursors.set(CHANNEL, { epoch: "a", offset: 1 });
    await at.transaction(async (transaction) => {
      assert.equal(await cursors.advance(message(2), transaction), false);
    });
    await cursors.set(CHANNEL, { epoch: "a", offset: 2 });
    assert.deepEqual(await at.standing(), { epoch: "a", offset: "3" });
    // The same place again, but by itself this time.
    await cursors.set(CHANNEL, { epoch: "a", offset: 2 });
    assert.deepEqual(await at.standing(), { epoch: "a", offset: "2" });
  });

  test("the effect and the position are committed together; a message that comes again has no second effect", async (t) => {
    const at = await start(t);
    const cursors = at.cursors();
    await cursors.get(CHANNEL);
    const handle = writes(cursors);
    for (const offset of [1, 2, 2, 1, 3]) await handle(message(offset));
    assert.deepEqual(await at.effects(), [1, 2, 3]);
    assert.deepEqual(await at.standing(), { epoch: "a", offset: "3" });
    // What the client stores afterwards is there already.
    assert.equal(cursors.set(CHANNEL, { epoch: "a", offset: 3 }), undefined);
  });

  test("a handler that throws changes nothing, and its error is what the client sees", async (t) => {
    const at = await start(t);
    const cursors = at.cursors();
    await cursors.get(CHANNEL);
    const refused = new Error("no such account");
    await assert.rejects(
      async () =>
        writes(cursors, () => {
          throw refused;
        })(message(1)),
      (error) => error === refused,
    );
    await writes(cursors)(message(2));
    // Found out at the commit only.
    await assert.rejects(
      async () =>
        cursors.handler((_, transaction) => transaction.query("insert into effects (n) values (2)"))(message(3)),
      /duplicate key/,
    );
    // A failed statement that is passed over: PostgreSQL answers a commit with a rollback, and no error.
    const careless = cursors.handler((_, transaction) => transaction.query("select 1 / 0").catch(() => {}));
    await assert.rejects(async () => careless(message(3)), /nothing was committed. Let the handler throw/);
    assert.deepEqual(await at.effects(), [2]);
    assert.deepEqual(await at.standing(), { epoch: "a", offset: "2" });
  });

  test("K28 of two with one name the newer takes over: what the older one does after that fails and changes nothing", async (t) => {
    const at = await start(t);
    const [older, newer] = [at.cursors(), at.cursors()];
    await older.get(CHANNEL);
    await writes(older)(message(1));
    assert.deepEqual(await newer.get(CHANNEL), { epoch: "a", offset: 1 });
    const taken = (error: unknown): boolean => {
      assert.ok(error instanceof TodokuError);
      assert.equal(error.code, ERRORS.takenOver.code);
      assert.match(error.message, /ledger of transfers:all: another process has taken over/);
      return true;
    };
    await assert.rejects(async () => writes(older)(message(2)), taken);
    await assert.rejects(async () => older.set(CHANNEL, { epoch: "b", offset: 9 }), taken);
    await at.transaction(async (transaction) => {
      await assert.rejects(async () => older.advance(message(2), transaction), taken);
    });
    await older.delete(CHANNEL);
    await writes(newer)(message(2));
    assert.deepEqual(await at.effects(), [1, 2]);
    assert.deepEqual(await at.standing(), { epoch: "a", offset: "2" });
  });

  test("K28 who was taken over stays so when the row was removed since, and begun anew by somebody else", async (t) => {
    const at = await start(t);
    const [oldest, older, newer] = [at.cursors(), at.cursors(), at.cursors()];
    await oldest.get(CHANNEL);
    await older.get(CHANNEL);
    await older.delete(CHANNEL);
    assert.equal(await newer.get(CHANNEL), undefined);
    for (const cursors of [oldest, older]) {
      await assert.rejects(async () => writes(cursors)(message(1)), { code: ERRORS.takenOver.code });
      await assert.rejects(async () => cursors.set(CHANNEL, { epoch: "a", offset: 9 }), {
        code: ERRORS.takenOver.code,
      });
    }
    // What was written by a program that counted from 1, or while the database's clock was ahead.
    for (const [i, fence] of ["1", "8000000000000000"].entries()) {
      await at.pool.query("update todoku_cursors set fence = $1", [fence]);
      const newest = at.cursors();
      await newest.get(CHANNEL);
      await assert.rejects(async () => writes(newer)(message(1)), { code: ERRORS.takenOver.code });
      await writes(newest)(message(i + 1));
    }
  });

  test("who takes over waits for the transaction that is open, and goes on after it, if it was committed", async (t) => {
    const at = await start(t);
    const [older, newer] = [at.cursors(), at.cursors()];
    await older.get(CHANNEL);
    const [written, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const handling = writes(older, () => {
      written.resolve();
      return go.promise;
    })(message(1));
    await written.promise;
    const taken = newer.get(CHANNEL);
    go.resolve();
    await handling;
    assert.deepEqual(await taken, { epoch: "a", offset: 1 });
  });

  test("a transaction that stands still is ended by PostgreSQL, so that a frozen process holds up nobody for long", async (t) => {
    const at = await start(t);
    const troubles: string[] = [];
    const [frozen, newer] = [
      at.cursors({ idleMs: 1000, onError: ({ message: words }) => troubles.push(words) }),
      at.cursors(),
    ];
    await frozen.get(CHANNEL);
    const [written, thaw] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const handling = writes(frozen, () => {
      written.resolve();
      return thaw.promise;
    })(message(1));
    await written.promise;
    assert.equal(await newer.get(CHANNEL), undefined);
    await writes(newer)(message(1));
    thaw.resolve();
    await assert.rejects(async () => handling, { code: ERRORS.takenOver.code });
    assert.deepEqual(await at.effects(), [1]);
    assert.match(troubles.join(), /transfers:all at offset 1 \(.*\); it is tried again/);
  });

  test("K28 who learns at the commit only that PostgreSQL has ended the transaction tries again, unless it was taken over", async (t) => {
    const at = await start(t);
    const troubles: string[] = [];
    const cursors = at.cursors({ idleMs: 1000, onError: ({ message: words }) => troubles.push(words) });
    const blocked = (sql: string): ((message: Message) => unknown) =>
      writes(cursors, (n) => {
        if (troubles.length === n - 1) freezeUntilDone(sql);
      });
    await cursors.get(CHANNEL);
    await blocked(`update ${at.schema}.todoku_cursors set changed = now()`)(message(1));
    assert.deepEqual(await at.effects(), [1]);
    await assert.rejects(async () => blocked(`update ${at.schema}.todoku_cursors set fence = fence + 1`)(message(2)), {
      code: ERRORS.takenOver.code,
    });
    assert.deepEqual(await at.effects(), [1]);
    assert.equal(troubles.length, 2);
    for (const trouble of troubles) assert.match(trouble, /idle-in-transaction timeout\); it is tried again/);
  });

  test("transactions that PostgreSQL breaks off, and lost connections, are tried again and told", async (t) => {
    const at = await start(t);
    const troubles: TodokuError[] = [];
    const cursors = at.cursors({ onError: (error) => troubles.push(error) });
    await cursors.get(CHANNEL);
    let tries = 0;
    const handle = cursors.handler(async (_, transaction) => {
      await transaction.query("insert into effects (n) values (7)");
      if (++tries === 1) await at.pool.query("select pg_terminate_backend($1)", [await pidOf(transaction)]);
      if (tries === 2)
        await transaction.query("do $$ begin raise exception using errcode = 'serialization_failure'; end $$");
    });
    await handle(message(1));
    assert.deepEqual(await at.effects(), [7]);
    assert.deepEqual([tries, troubles.length], [3, 2]);
    for (const { reason } of troubles) assert.equal(reason, "cursor_store_failed");
  });

  test("an effect that takes longer than the database allows has failed: it would for ever", async (t) => {
    const at = await start(t);
    const cursors: Cursors = at.cursors({ onError: () => cursors.close() });
    await cursors.get(CHANNEL);
    const slow = cursors.handler((_, transaction) =>
      transaction.query("set local statement_timeout = 50; select pg_sleep(30)"),
    );
    await assert.rejects(async () => slow(message(1)), { code: "57014" });
  });

  test("a statement of the store that takes too long, as somebody else has the row, is tried again", async (t) => {
    const at = await start(t);
    await at.cursors().get(CHANNEL);
    const hasty = at.connect("-c statement_timeout=200");
    let told = Promise.withResolvers<TodokuError>();
    const cursors = postgresCursors(hasty, { consumer: "ledger", onError: (error) => told.resolve(error) });
    t.after(() => cursors.close());
    for (const work of [() => cursors.get(CHANNEL), () => cursors.handler(() => {})(message(1))]) {
      told = Promise.withResolvers();
      const locked = Promise.withResolvers<void>();
      const holding = at.transaction(async (transaction) => {
        await transaction.query("update todoku_cursors set changed = now()");
        locked.resolve();
        assert.match((await told.promise).message, /statement timeout\); it is tried again/);
      });
      await locked.promise;
      await Promise.all([work(), holding]);
    }
    assert.deepEqual(await at.standing(), { epoch: "a", offset: "1" });
  });

  test("with advance the position moves in a transaction of one's own", async (t) => {
    const at = await start(t);
    const cursors = at.cursors();
    await cursors.get(CHANNEL);
    const attempt = async (offset: number, end: "commit" | "rollback"): Promise<boolean> => {
      const connection = await at.pool.connect();
      await connection.query("begin");
      const first = await cursors.advance(message(offset), connection);
      if (first) await connection.query("insert into effects (n) values ($1)", [offset]);
      await connection.query(end);
      connection.release();
      return first;
    };
    assert.deepEqual(
      [await attempt(1, "rollback"), await attempt(1, "commit"), await attempt(1, "commit")],
      [true, true, false],
    );
    assert.deepEqual(await at.effects(), [1]);
  });

  test("close ends all waiting for a database that does not come back", async (t) => {
    const troubled = Promise.withResolvers<TodokuError>();
    const pool = new Pool({ connectionString: "postgres://todoku@127.0.0.1:1/none" });
    t.after(() => pool.end());
    const cursors = postgresCursors(pool, { consumer: "ledger", onError: troubled.resolve });
    const reading = assert.rejects(
      async () => cursors.get(CHANNEL),
      /reading the position of transfers:all .*ECONNREFUSED/,
    );
    assert.match((await troubled.promise).message, /^cursor store failed: .*ECONNREFUSED.*it is tried again/);
    cursors.close();
    await reading;
  });

  test("what cannot be is refused, and the error says what to do", async (t) => {
    const at = await start(t);
    for (const [options, said] of [
      [{ consumer: "" }, /the consumer of the cursors needs a name/],
      [{ table: 'cursors"; drop' }, /is no name for a table: letters, digits and _/],
      [{ idleMs: 0 }, /idleMs is 0; it must be from 1000 to 2147483647/],
      [{ idleMs: Infinity }, /idleMs is Infinity; it must be/],
      [{ idleMs: 2_147_483_648 }, /idleMs is 2147483648; it must be/],
    ] as const) {
      assert.throws(() => at.cursors(options), said);
    }
    const cursors = at.cursors();
    await assert.rejects(
      async () => writes(cursors)(message(1)),
      /nobody asked for the position.*new Todoku\(url, \{ cursors \}\)/,
    );
    const { offset: _, ...without } = message(1);
    await assert.rejects(async () => writes(cursors)(without), /have no position: its namespace keeps no log/);
    await assert.rejects(
      async () => at.cursors({ table: "effects" }).get(CHANNEL),
      /"effects" is no table for cursors \(.*\)\. .*create table if not exists "effects" \(consumer text/,
    );
    await assert.rejects(
      async () => at.cursors({ table: "nowhere.cursors" }).get(CHANNEL),
      /there is no table "nowhere"."cursors", and it cannot be made \(schema "nowhere" does not exist\)\. Make it/,
    );
  });

  test("a table that can be claimed and not written to is refused as well, by whatever writes to it", async (t) => {
    const at = await start(t);
    const cursors: Cursors = at.cursors({ onError: () => cursors.close() });
    await cursors.get(CHANNEL);
    await at.pool.query("alter table todoku_cursors drop column changed");
    const refused = /"todoku_cursors" is no table for cursors \(column "changed" .*\)\. .*create table if not exists/;
    await assert.rejects(async () => writes(cursors)(message(1)), refused);
    await assert.rejects(async () => cursors.set(CHANNEL, { epoch: "a", offset: 1 }), refused);
    await assert.rejects(
      at.transaction(async (transaction) => {
        await assert.rejects(cursors.advance(message(1), transaction), refused);
        await cursors.advance(message(1), transaction);
      }),
      { code: "25P02" },
      "that says nothing of the table",
    );
    assert.deepEqual(await at.effects(), []);
  });
});

/** Stands still, event loop and all, until another process was let into the table that the open transaction has locked. */
function freezeUntilDone(sql: string): void {
  assert.ok(broker.skip === false);
  const program = `import { Client } from "pg";
    const [, connectionString, sql] = process.argv;
    const client = new Client({ connectionString });
    await client.connect();
    await client.query(sql);
    await client.end();`;
  const args = ["--input-type=module", "--eval", program, broker.urls[0] ?? "", sql];
  execFileSync(process.execPath, args, { cwd: import.meta.dirname, timeout: 30_000 });
}

async function pidOf(connection: ConnectionOf<Pool>): Promise<number> {
  const { rows } = await connection.query<{ pid: number }>("select pg_backend_pid() as pid");
  return rows[0]?.pid ?? 0;
}
