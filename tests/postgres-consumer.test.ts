/** A consumer whose effects and position lie in PostgreSQL: whatever dies, each message has its effect once, in order. */
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import { cp, rm } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { Todoku, type Gap } from "@todoku/client";
import { postgresCursors } from "@todoku/client/postgres";
import { Client, Pool } from "pg";
import { needBroker } from "../scripts/brokers/need.ts";
import { ownServers } from "../scripts/brokers/own-servers.ts";
import { Program } from "./program.ts";
import { ServerProcess } from "./server-process.ts";

const SCRIPT = path.join(import.meta.dirname, "postgres-consumer.ts");
const { skip } = await needBroker("postgres");

describe("a consumer on PostgreSQL", { skip, timeout: 120_000 }, () => {
  let postgres: Awaited<ReturnType<typeof ownServers>>;
  let server: ServerProcess;
  let publisher: Todoku<Record<string, number>>;
  let database: string;

  before(async () => {
    postgres = await ownServers("postgres");
    [database = ""] = postgres.urls;
    await sql("create table effects (id serial, n int not null)");
    server = await ServerProcess.start({
      auth: { insecure: true },
      backbones: { local: { type: "embedded", path: "data" } },
      namespaces: { transfers: { backbone: "local", delivery: "exactly-once", subscribe: "any", publish: "any" } },
    });
    publisher = new Todoku(server.url);
    publisher.on("error", () => {});
  });
  after(async () => {
    await publisher?.close();
    await server?.[Symbol.asyncDispose]();
    await postgres?.end();
  });

  async function sql<Row extends object>(text: string): Promise<readonly Row[]> {
    const client = new Client({ connectionString: database });
    await client.connect();
    try {
      return (await client.query<Row>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** `pauseAt`: it stops there, between effect and commit. */
  const consumer = (t: TestContext, channel: string, pauseAt: number): Program => {
    const program = new Program(SCRIPT, [server.url, channel, database, String(pauseAt)]);
    t.after(() => program.end("SIGKILL"));
    return program;
  };

  const publish = async (channel: string, count: number): Promise<void> => {
    await Promise.all(Array.from({ length: count }, (_, i) => publisher.publish(channel, i + 1)));
  };

  /** Resolves when it has written the number. */
  const wrote = async (program: Program, n: number): Promise<void> => {
    while (!(await program.speaks()).split("\n").includes(String(n)));
  };

  /** Of the channel that was written last; the table is emptied for the next. */
  const effects = async (): Promise<readonly number[]> => {
    const rows = await sql<{ n: number }>("select n from effects order by id");
    await sql("delete from effects");
    return rows.map(({ n }) => n);
  };

  const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i + 1);

  test("killed between the effect and the commit it repeats none, and leaves none out", async (t) => {
    await publish("transfers:killed", 60);
    for (const n of [1, 30, 60]) {
      const program = consumer(t, "transfers:killed", n);
      await wrote(program, n);
      await program.end("SIGKILL");
    }
    // When it writes the next one, that one is committed.
    const program = consumer(t, "transfers:killed", 61);
    await publisher.publish("transfers:killed", 61);
    await wrote(program, 61);
    await program.end("SIGKILL");
    assert.deepEqual(await effects(), numbers(60));
  });

  test("of two, the one that froze in a transaction is taken over, and changes nothing when it thaws", async (t) => {
    await publish("transfers:frozen", 30);
    const older = consumer(t, "transfers:frozen", 15);
    await wrote(older, 15);
    older.signal("SIGSTOP");
    const newer = consumer(t, "transfers:frozen", 30);
    await wrote(newer, 30);
    older.signal("SIGUSR2");
    older.signal("SIGCONT");
    assert.deepEqual(await older.ended, { code: 4, signal: null });
    await newer.end("SIGKILL");
    assert.deepEqual(await effects(), numbers(29), "the thirtieth was not committed");
  });

  test("it waits for a PostgreSQL that is killed and started again, in the middle of a transaction", async (t) => {
    const [machine] = postgres.servers;
    assert.ok(machine);
    await publish("transfers:restart", 20);
    const program = consumer(t, "transfers:restart", 10);
    await wrote(program, 10);
    await machine.kill();
    program.signal("SIGUSR2");
    await publisher.publish("transfers:restart", 21);
    await machine.start();
    await wrote(program, 21);
    await program.end("SIGKILL");
    assert.deepEqual((await effects()).slice(0, 20), numbers(20));
  });

  test("K14 after a gateway's data folder was brought back from a backup, what is published then has its effect", async (t) => {
    const pool = new Pool({ connectionString: database });
    pool.on("error", () => {});
    const cursors = postgresCursors(pool, { consumer: "restored", onError: () => {} });
    const client = new Todoku<Record<string, number>>(server.url, { cursors, backoff: { firstMs: 50, lastMs: 200 } });
    client.on("error", () => {});
    t.after(async () => {
      cursors.close();
      await client.close();
      await pool.end();
    });
    const written = new EventEmitter();
    const handle = cursors.handler<number>(async ({ data }, transaction) => {
      await transaction.query("insert into effects (n) values ($1)", [data]);
    });
    const subscription = client.subscribe(
      "transfers:restored",
      async (message) => {
        await handle(message);
        written.emit(String(message.data));
      },
      { start: "earliest" },
    );
    const apply = async (n: number): Promise<void> => {
      const applied = once(written, String(n));
      await client.publish("transfers:restored", n);
      await applied;
    };
    const [data, backup] = [path.join(server.folder, "data"), path.join(server.folder, "backup")];
    for (const n of [1, 2, 3]) await apply(n);
    await server.kill();
    await cp(data, backup, { recursive: true });
    await server.restart();
    for (const n of [4, 5, 6]) await apply(n);
    await server.kill();
    await rm(data, { recursive: true });
    await cp(backup, data, { recursive: true });
    const gap = new Promise<Gap>((resolve) => subscription.on("gap", resolve));
    await server.restart();
    const { from, to, reason } = await gap;
    assert.deepEqual({ from, to, reason }, { from: 4, to: 3, reason: "epoch" });
    for (const n of [14, 15]) await apply(n);
    assert.deepEqual(await effects(), [...numbers(6), 14, 15]);
  });
});
