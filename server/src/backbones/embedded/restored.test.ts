/** A folder that was brought back from a backup: what was known of it means what it did up to the backup, and nothing beyond. */
import assert from "node:assert/strict";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { inEpoch } from "@todoku/protocol";
import { open as openLmdb } from "lmdb";
import { ManualClock } from "../../manual-clock.ts";
import { BackboneError, type Head } from "../contract.ts";
import { EmbeddedBackbone } from "./embedded.ts";
import { MOST_FORKS } from "./fork-rows.ts";
import { beginAnew } from "./restored.ts";

const clock = new ManualClock(1);
const NAME = "local";

/** A data folder, and the log in it. */
class Place {
  readonly folder: string;
  #opened: EmbeddedBackbone | undefined;

  constructor(folder: string) {
    this.folder = folder;
  }

  async log(): Promise<EmbeddedBackbone["log"]> {
    this.#opened ??= new EmbeddedBackbone(NAME, { path: this.folder }, clock);
    await this.#opened.open();
    return this.#opened.log;
  }

  async close(): Promise<void> {
    await this.#opened?.close();
    this.#opened = undefined;
  }

  async append(channel: string, count: number, key?: string): Promise<void> {
    const log = await this.log();
    const dedupe = key === undefined ? {} : { dedupe: { key, windowMs: 60_000 } };
    for (let i = 0; i < count; i++)
      await log.append(channel, { id: clock.uuid(), time: 1, data: `${i}` }, { retention: {}, ...dedupe });
    await this.close();
  }

  async head(channel: string): Promise<Head> {
    const log = await this.log();
    const [head] = await log.heads([channel]);
    const range = await log.read(channel, { limit: 1 });
    await this.close();
    assert.ok(head);
    assert.deepEqual([range.epoch, range.forks], [head.epoch, head.forks], "a read says the same");
    return head;
  }

  /** As if it had been brought back; resolves with the epoch before. */
  async restored(): Promise<string> {
    return (await beginAnew(NAME, this.folder, clock)).older;
  }
}

async function place(t: TestContext): Promise<Place> {
  const folder = await mkdtemp(path.join(tmpdir(), "todoku-restored-"));
  const made = new Place(folder);
  t.after(async () => {
    await made.close();
    await rm(folder, { recursive: true, force: true });
  });
  return made;
}

test("a store that was never brought back names no forks, and has no table of them", async (t) => {
  const at = await place(t);
  await at.append("a", 2);
  assert.ok(!("forks" in (await at.head("a"))));
  const root = openLmdb({ path: path.join(at.folder, "log.mdb"), maxDbs: 16 });
  t.after(() => root.close());
  assert.ok(!Array.from(root.getKeys()).includes("forks"));
});

test("the new epoch forks from the old one at each channel's head; offsets, messages and keys go on", async (t) => {
  const at = await place(t);
  await at.append("a", 3);
  await at.append("b", 1, "key");
  const older = await at.restored();
  const head = await at.head("a");
  assert.notEqual(head.epoch, older);
  assert.deepEqual([head.offset, head.forks], [3, [{ epoch: older, offset: 3 }]]);
  assert.deepEqual(inEpoch({ epoch: older, offset: 3 }, head), { epoch: head.epoch, offset: 3 });
  assert.equal(inEpoch({ epoch: older, offset: 4 }, head), undefined);
  assert.deepEqual((await at.head("b")).forks, [{ epoch: older, offset: 1 }]);

  const log = await at.log();
  const repeated = await log.append(
    "b",
    { id: "x", time: 1, data: "0" },
    { retention: {}, dedupe: { key: "key", windowMs: 60_000 } },
  );
  assert.deepEqual(repeated, { epoch: head.epoch, offset: 1, duplicate: true });
  const next = await log.append("a", { id: "x", time: 1, data: "0" }, { retention: {} });
  assert.deepEqual(next, { epoch: head.epoch, offset: 4, duplicate: false });
  const { messages } = await log.read("a", { limit: 10 });
  assert.deepEqual(
    messages.map(({ offset }) => offset),
    [1, 2, 3, 4],
  );
  await at.close();
  assert.deepEqual((await at.head("a")).forks, [{ epoch: older, offset: 3 }], "what came since is the new epoch's own");
});

test("a channel that the backup does not know shares nothing with what it was", async (t) => {
  const at = await place(t);
  await at.append("a", 1);
  const older = await at.restored();
  assert.deepEqual((await at.head("new")).forks, [{ epoch: older, offset: 0 }]);
  await at.append("new", 2);
  assert.deepEqual((await at.head("new")).forks, [{ epoch: older, offset: 0 }]);
});

test("each further time adds a fork, and a channel shares nothing with epochs from before it was there", async (t) => {
  const at = await place(t);
  await at.append("a", 2);
  const first = await at.restored();
  await at.append("a", 3);
  await at.append("b", 1);
  const second = await at.restored();
  await at.append("b", 4);
  assert.deepEqual((await at.head("a")).forks, [
    { epoch: first, offset: 2 },
    { epoch: second, offset: 5 },
  ]);
  assert.deepEqual((await at.head("b")).forks, [
    { epoch: first, offset: 0 },
    { epoch: second, offset: 1 },
  ]);
});

test("an older backup knows nothing of the epochs that came after it", async (t) => {
  const [at, backup] = [await place(t), await place(t)];
  await at.append("a", 2);
  await cp(at.folder, backup.folder, { recursive: true });
  const first = await at.restored();
  await at.append("a", 2);
  const second = await at.restored();
  const again = await backup.restored();
  assert.equal(again, first);
  const { epoch, forks } = await backup.head("a");
  assert.deepEqual(forks, [{ epoch: first, offset: 2 }]);
  assert.ok(![first, second, (await at.head("a")).epoch].includes(epoch));
});

test(`${MOST_FORKS} older epochs are remembered`, async (t) => {
  const at = await place(t);
  const older: { epoch: string; offset: number }[] = [];
  for (let i = 1; i <= MOST_FORKS + 2; i++) {
    await at.append("a", 1);
    older.push({ epoch: await at.restored(), offset: i });
  }
  assert.deepEqual((await at.head("a")).forks, older.slice(-MOST_FORKS));
  await at.append("late", 1);
  const last = await at.restored();
  const forks = [...older.slice(1 - MOST_FORKS).map(({ epoch }) => ({ epoch, offset: 0 })), { epoch: last, offset: 1 }];
  assert.deepEqual((await at.head("late")).forks, forks);
});

test("removing the messages of a channel changes nothing of what it shares", async (t) => {
  const at = await place(t);
  await at.append("a", 3);
  const older = await at.restored();
  await (await at.log()).remove("a");
  await at.close();
  const { offset, trimmed, forks } = await at.head("a");
  assert.deepEqual([offset, trimmed, forks], [3, 3, [{ epoch: older, offset: 3 }]]);
  const second = await at.restored();
  assert.deepEqual((await at.head("a")).forks, [
    { epoch: older, offset: 3 },
    { epoch: second, offset: 3 },
  ]);
});

test("a folder that holds no log, or is in use, is refused", async (t) => {
  const at = await place(t);
  const refused = (why: RegExp) =>
    assert.rejects(
      at.restored(),
      (error) => error instanceof BackboneError && error.reason === "invalid" && why.test(error.message),
    );
  await refused(/\[local\] there is no log in .*: log\.mdb is missing/);
  await at.append("a", 1);
  await at.log();
  await refused(/in use by another process/);
  await at.close();
  const older = await at.restored();
  assert.deepEqual((await at.head("a")).forks, [{ epoch: older, offset: 1 }], "it was given back");
});

test("many channels are forked in one transaction", async (t) => {
  const at = await place(t);
  const log = await at.log();
  const channels = Array.from({ length: 20_000 }, (_, i) => `many:${i}`);
  await Promise.all(
    channels.map((channel) => log.append(channel, { id: channel, time: 1, data: "0" }, { retention: {} })),
  );
  await at.close();
  const { older, channels: count } = await beginAnew(NAME, at.folder, clock);
  assert.equal(count, channels.length);
  const heads = await (await at.log()).heads(channels);
  assert.ok(heads.every(({ forks }) => forks?.length === 1 && forks[0]?.epoch === older && forks[0].offset === 1));
});
