/** PostgreSQL goes away and comes back, and archivers take over from each other: publishing never waits, and nothing is lost or doubled. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { needBroker } from "../../../scripts/brokers/need.ts";
import { ownServers } from "../../../scripts/brokers/own-servers.ts";
import { BackboneError } from "../backbones/contract.ts";
import { archiveCase, numbers, textsOf, type ArchiveCase } from "./test-archive.ts";

const broker = await needBroker("postgres");

describe("the archive under faults", { skip: broker.skip }, () => {
  test("while PostgreSQL is down publishing goes on; what the log still has is archived when it is back", async (t) => {
    const own = await ownServers("postgres");
    t.after(() => own.end());
    const [url = ""] = own.urls;
    const [server] = own.servers;
    assert.ok(server);
    const at = await archiveCase(t, url, { retention: { messages: 50 } });
    at.archiver().start();
    await at.append("chat:a", ...numbers(40));
    await at.told.until("the first are archived", () => at.told.archivedCount === 40);

    await server.kill();
    await at.append("chat:a", ...numbers(30, 41));
    assert.deepEqual(textsOf(await at.log.read("chat:a", { after: 60, limit: 100 })), numbers(10, 61));
    await assert.rejects(at.log.read("chat:a", { limit: 10 }), (error) => {
      assert.ok(error instanceof BackboneError);
      assert.equal(error.reason, "unavailable", "not a gap: it may be asked for again");
      assert.match(error.message, /^\[archive\] cannot reach PostgreSQL at postgres:\/\/.*Is it running/);
      return true;
    });
    await at.told.until("the archiver says that it is behind", () => at.told.lagMs > 0 && at.told.failures.length > 0);
    await at.told.until("and warns before the log trims", () => at.told.late.length > 0);
    assert.deepEqual(at.told.missed, []);

    await server.start();
    await at.told.until("all is archived", () => at.told.archivedCount === 70);
    await at.told.until("and nothing waits", () => at.told.lagMs === 0);
    assert.deepEqual(textsOf(await at.log.read("chat:a", { limit: 100 })), numbers(70));
    await agrees(at, 70);
  });

  test("of several archivers one works; another takes over when it ends, or is cut off", async (t) => {
    assert.ok(broker.skip === false);
    const [url = ""] = broker.urls;
    const at = await archiveCase(t, url, { retention: { messages: 1000 } });
    const first = at.archiver();
    first.start();
    await at.append("chat:a", ...numbers(10));
    await at.told.until("the first works", () => at.told.archivedCount === 10);
    at.archiver().start();
    await first.stop();
    await at.append("chat:a", ...numbers(10, 11));
    await at.told.until("the second goes on", () => at.told.archivedCount === 20);
    at.archiver().start();
    const [cut] = await at.sql<{ n: string }>(
      `select count(pg_terminate_backend(pid)) as n from pg_locks where locktype = 'advisory' and granted
         and ((classid::bigint << 32) | objid::bigint) = hashtextextended('todoku ${at.schema} archive chat', 0)`,
    );
    assert.ok(cut?.n === "1");
    await at.append("chat:a", ...numbers(10, 21));
    await at.told.until("somebody goes on", () => at.told.archivedCount >= 30);
    await agrees(at, 30);
  });
});

/** The storage equals the log. */
async function agrees(at: ArchiveCase, count: number): Promise<void> {
  const stored = await at.sql<{ offset: string; text: string }>(
    `select "offset", data #>> '{}' as text from messages order by "offset"`,
  );
  assert.deepEqual(
    stored,
    numbers(count).map((text) => ({ offset: text, text })),
  );
}
