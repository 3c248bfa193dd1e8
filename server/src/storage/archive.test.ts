/** What the log forgets is read on from PostgreSQL, without a seam. */
import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { needBroker } from "../../../scripts/brokers/need.ts";
import type { Log, Message, Range } from "../backbones/contract.ts";
import { archiveCase, messageOf, numbers, textsOf } from "./test-archive.ts";

const broker = await needBroker("postgres");

describe("a log with a storage behind it", { skip: broker.skip }, () => {
  let url = "";
  before(() => {
    if (broker.skip === false) [url = ""] = broker.urls;
  });

  test("history goes on in the storage where the log ends, forward and in reverse", async (t) => {
    const at = await archiveCase(t, url);
    at.archiver().start();
    for (const text of numbers(23)) {
      await at.append("chat:a", text);
      // The log keeps five: each is archived before it is dropped.
      await at.told.until(`${text} is archived`, () => at.told.archivedCount === Number(text));
    }
    const whole = await at.log.read("chat:a", { limit: 100 });
    assert.deepEqual(textsOf(whole), numbers(23));
    assert.equal(whole.trimmed, 0);
    assert.equal(whole.head, 23);
    const seam = await at.log.read("chat:a", { after: 15, limit: 5 });
    assert.deepEqual(textsOf(seam), numbers(5, 16));
    const older = await at.log.read("chat:a", { after: 3, limit: 4 });
    assert.deepEqual(textsOf(older), numbers(4, 4));
    assert.ok(older.trimmed <= 3, "nothing is missing there");
    const small = await at.log.read("chat:a", { after: 9, limit: 100, maxBytes: 9 });
    assert.deepEqual(textsOf(small), ["10", "11", "12"]);
    const back = await at.log.read("chat:a", { limit: 8, reverse: true });
    assert.deepEqual(textsOf(back), numbers(8, 16).toReversed());
    const first = await at.log.read("chat:a", { after: 4, limit: 8, reverse: true });
    assert.deepEqual(textsOf(first), ["3", "2", "1"]);
    const live = await at.backbone.log.read("chat:a", { limit: 100 });
    assert.deepEqual(textsOf(live), numbers(5, 19), "the log itself has forgotten the rest");
  });

  test("a message comes back unaltered, whatever JSON it is", async (t) => {
    const at = await archiveCase(t, url, { retention: { messages: 1 } });
    at.archiver().start();
    const odd: readonly Message[] = [
      { ...messageOf("x"), data: String.raw`{"a":"\u0000\ud800 \\ \" \n","a":1e400,"b":[1.50, null ]}` },
      { ...messageOf("x"), data: `"it's \\\\N, {curly}, \\"quoted\\" and ü€😀"`, tags: { "": "", 'a"b': "{}" } },
      { ...messageOf("x"), data: "null", info: { user: "u", client: "c", conn_info: { deep: [1, "\u0001"] } } },
    ];
    for (const [i, message] of odd.entries()) {
      await at.log.append("chat:odd", message, { retention: at.namespace.retention });
      await at.told.until("it is archived", () => at.told.archivedCount === i + 1);
    }
    const { messages } = await at.log.read("chat:odd", { limit: 10 });
    assert.deepEqual(
      messages,
      odd.map((message, i) => ({ ...message, offset: i + 1 })),
    );
  });

  test("what nobody told of is found: what was there before, and what other programs wrote", async (t) => {
    const at = await archiveCase(t, url, { retention: { messages: 100 } });
    const channels = numbers(250).map((n) => `chat:${n}`);
    for (const channel of channels) {
      await at.backbone.log.append(channel, messageOf("silent"), { retention: at.namespace.retention });
    }
    await at.backbone.log.append("other:1", messageOf("not of this namespace"), { retention: {} });
    at.archiver().start();
    await at.told.until("all are archived", () => at.told.archivedCount === 250);
    const [count] = await at.sql<{ n: string; other: string }>(
      "select count(distinct channel) as n, count(*) filter (where channel like 'other%') as other from messages",
    );
    assert.deepEqual(count, { n: "250", other: "0" });
  });

  test("what the log dropped before it was archived is a gap, for readers of the archive as well", async (t) => {
    const at = await archiveCase(t, url);
    const first = at.archiver();
    first.start();
    await at.append("chat:a", ...numbers(3));
    await at.told.until("they are archived", () => at.told.archivedCount === 3);
    await first.stop();
    await at.append("chat:a", ...numbers(20, 4));
    at.archiver().start();
    await at.told.until("the rest is archived", () => at.told.archivedCount === 8);
    assert.deepEqual(at.told.missed, [{ channel: "chat:a", from: 3, to: 18 }]);
    await at.append("chat:a", ...numbers(5, 24));
    await at.told.until("those as well", () => at.told.archivedCount === 13);
    const before = await at.log.read("chat:a", { limit: 100 });
    assert.deepEqual([textsOf(before), before.trimmed], [numbers(3), 0], "up to the gap");
    const after = await at.log.read("chat:a", { after: 3, limit: 100 });
    assert.deepEqual([textsOf(after), after.trimmed], [numbers(10, 19), 18], "and on from its end");
    const inside = await at.log.read("chat:a", { after: 7, limit: 2 });
    assert.deepEqual([textsOf(inside), inside.trimmed], [numbers(2, 19), 18]);
  });

  test("two archivers that do not know of each other store nothing twice", async (t) => {
    const at = await archiveCase(t, url, { retention: { messages: 1000 } });
    await at.append("chat:a", ...numbers(200));
    const { epoch, messages } = await at.backbone.log.read("chat:a", { limit: 200 });
    const stretch = { channel: "chat:a", epoch, after: 0, upTo: 200, messages };
    const half = { ...stretch, upTo: 100, messages: messages.slice(0, 100) };
    await Promise.all([at.storage.write([stretch]), at.storage.write([half]), at.storage.write([stretch])]);
    await at.storage.write([half]);
    assert.deepEqual(await doubled(at), { rows: 200, doubled: 0 });
    assert.equal((await at.storage.standings(["chat:a"]))[0]?.offset, 200, "who is slow does not move it back");
  });

  test("control: without the position as key, they would", async (t) => {
    const at = await archiveCase(t, url, { retention: { messages: 1000 } });
    await at.sql("alter table messages drop constraint messages_pkey");
    await at.append("chat:a", ...numbers(50));
    const { epoch, messages } = await at.backbone.log.read("chat:a", { limit: 200 });
    const stretch = { channel: "chat:a", epoch, after: 0, upTo: 50, messages };
    await Promise.all([at.storage.write([stretch]), at.storage.write([stretch])]);
    assert.deepEqual(await doubled(at), { rows: 100, doubled: 50 });
  });

  test("a new epoch that goes on with the old one goes on in the archive; one that does not begins anew", async (t) => {
    const at = await archiveCase(t, url);
    const write = (
      epoch: string,
      texts: readonly string[],
      from: number,
      forks: { epoch: string; offset: number }[] = [],
    ) =>
      at.storage.write([
        {
          channel: "chat:a",
          epoch,
          forks,
          after: from,
          upTo: from + texts.length,
          messages: texts.map((text, i) => ({ ...messageOf(text), offset: from + 1 + i })),
        },
      ]);
    await write("one", numbers(10), 0);
    const forks = [{ epoch: "one", offset: 8 }];
    await write("two", ["nine", "ten"], 8, forks);
    const read = async (epoch: string, of: { epoch: string; offset: number }[] = []) =>
      at.storage.read("chat:a", { epoch, forks: of }, { after: 0, limit: 100 });
    assert.deepEqual(textsOf(await read("two", forks)), [...numbers(8), "nine", "ten"]);
    await write("one", numbers(2, 11), 10);
    assert.deepEqual(textsOf(await read("two", forks)), [...numbers(8), "nine", "ten"], "a straggler changes nothing");
    await write("three", ["new"], 0);
    assert.deepEqual(textsOf(await read("three")), ["new"]);
    const [kept] = await at.sql<{ n: string }>("select count(*) as n from messages where epoch = 'one'");
    assert.equal(kept?.n, "10", "SQL still finds what was");
  });

  for (const shared of [true, false]) {
    const how = shared ? "a log they share" : "logs of their own";
    test(`many channels that go on in a new epoch at once are taken in small portions, from ${how}`, async (t) => {
      const at = await archiveCase(t, url, { retention: { messages: 1000 } });
      const channels = numbers(250).map((n) => `chat:${n}`);
      await at.storage.write(
        channels.map((channel) => ({ channel, epoch: "before", after: 0, upTo: 100, messages: [] })),
      );
      for (const channel of channels) await at.append(channel, ...numbers(60));
      const { log } = at.backbone;
      let [reading, mostReading] = [0, 0];
      const { read } = log;
      const readAfterFork: Log["read"] = async (channel, options) => ({
        ...(await read(channel, options)),
        forks: [{ epoch: "before", offset: 20 }],
      });
      log.read = async (channel, options) => {
        mostReading = Math.max(mostReading, ++reading);
        const range = await readAfterFork(channel, options);
        reading--;
        return range;
      };
      if (shared) log.readMany = together(readAfterFork);
      at.archiver().start();
      await at.told.until("all are archived", () => at.told.archivedCount === 10_000);
      assert.ok(at.told.mostAtOnce <= 5000, `${at.told.mostAtOnce} messages were written at once`);
      assert.ok(mostReading <= (shared ? 0 : 100), `${mostReading} channels were read at once`);
      const { epoch } = await read("chat:1", { limit: 1 });
      const rows = await at.sql<{ epoch: string; first: string; last: string; n: string }>(
        `select distinct epoch, min("offset") as first, max("offset") as last, count(*) as n from messages group by channel, epoch`,
      );
      assert.deepEqual(rows, [{ epoch, first: "21", last: "60", n: "40" }]);
      assert.deepEqual(
        await at.storage.standings(channels),
        channels.map((channel) => ({ channel, epoch, offset: 60 })),
      );
      assert.deepEqual([at.told.missed, at.told.failures], [[], []]);
    });
  }

  test("a removed history is removed from the archive, and nothing of it comes back", async (t) => {
    const at = await archiveCase(t, url, { retention: { messages: 100 } });
    at.archiver().start();
    await at.append("chat:a", ...numbers(8));
    await at.told.until("they are archived", () => at.told.archivedCount === 8);
    const { epoch, messages } = await at.backbone.log.read("chat:a", { limit: 100 });
    await at.log.remove("chat:a");
    // Somebody slow had read them before.
    await at.storage.write([{ channel: "chat:a", epoch, after: 3, upTo: 8, messages }]);
    await at.append("chat:a", "9");
    await at.told.until("the next is archived", () => at.told.archivedCount === 9);
    const range = await at.log.read("chat:a", { limit: 100 });
    assert.deepEqual([textsOf(range), range.trimmed], [["9"], 8]);
    assert.deepEqual(await at.sql("select data #>> '{}' as text from messages"), [{ text: "9" }]);
  });

  test("what is older than `keep` is dropped by whole months, and readers are told", async (t) => {
    const at = await archiveCase(t, url, { keep: "365d", retention: { messages: 1 } });
    const year = 365 * 86_400_000;
    const archiver = at.archiver();
    const times = [Date.now() - 3 * year, Date.now() - 2 * year, Date.now() - 1000, Date.now()];
    const { epoch } = await at.backbone.log.append("chat:a", messageOf("4"), { retention: {} });
    const messages = times.map((time, i) => ({ ...messageOf(String(i + 1), time), offset: i + 1 }));
    await at.storage.write([{ channel: "chat:a", epoch, after: 0, upTo: 4, messages }]);
    await at.append("chat:b", "wakes it");
    archiver.start();
    await at.told.until("it has looked", () => at.told.archivedCount === 1);
    const kept = await at.storage.read("chat:a", { epoch }, { after: 0, limit: 10 });
    assert.deepEqual([textsOf(kept), kept.from], [["3", "4"], 2]);
    const months = await at.sql<{ n: string }>(
      "select count(*) as n from pg_inherits where inhparent = 'messages'::regclass",
    );
    assert.ok(Number(months[0]?.n) <= 2, "the old months are gone");
  });

  test("tables of a newer program are left alone, and so is a database that refuses", async (t) => {
    const at = await archiveCase(t, url);
    await at.sql("insert into forms (form) values (99)");
    const { createStorage, storageSchema } = await import("./registry.ts");
    const { systemClock } = await import("../clock.ts");
    const open = async (settings: object): Promise<void> => {
      const storage = await createStorage(
        "archive",
        storageSchema.parse({ type: "postgres", url, ...settings }),
        systemClock,
      );
      await storage.open();
      await storage.close();
    };
    await assert.rejects(open({ schema: at.schema }), /form 99, and this program knows 1/);
    const elsewhere = url.replace(/\/postgres$/, "/nowhere");
    await assert.rejects(open({ url: elsewhere }), {
      name: "BackboneError",
      reason: "invalid",
      message: /3D000: database "nowhere" does not exist/,
    });
  });
});

/** As of a log that channels share: one by one, but within one limit. */
function together(read: Log["read"]): NonNullable<Log["readMany"]> {
  return async (reads, { limit }) => {
    let left = limit;
    const ranges: Range[] = [];
    for (const { channel, after } of reads) {
      const range = await read(channel, { after, limit });
      const messages = range.messages.slice(0, left);
      left -= messages.length;
      ranges.push({ ...range, messages });
    }
    return ranges;
  };
}

async function doubled(at: Awaited<ReturnType<typeof archiveCase>>): Promise<{ rows: number; doubled: number }> {
  const [found] = await at.sql<{ rows: string; positions: string }>(
    `select count(*) as rows, count(distinct (channel, epoch, "offset")) as positions from messages`,
  );
  const rows = Number(found?.rows);
  return { rows, doubled: rows - Number(found?.positions) };
}
