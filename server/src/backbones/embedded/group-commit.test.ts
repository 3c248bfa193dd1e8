import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { open, type RootDatabase } from "lmdb";
import { ManualClock } from "../../manual-clock.ts";
import { BackboneError } from "../contract.ts";
import { GroupCommit } from "./group-commit.ts";

describe("the writes of one turn", () => {
  let folder: string;
  let root: RootDatabase<number, string>;
  let commits: GroupCommit;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "todoku-commit-"));
    root = open<number, string>({ path: path.join(folder, "log.mdb") });
    commits = new GroupCommit(root, new ManualClock(), "local");
  });
  after(async () => {
    await root.close();
    await rm(folder, { recursive: true });
  });
  const transactions = (): number => (root.getStats() as { lastTxnId: number }).lastTxnId;

  test("are one transaction, and are told and answered in their order once it is committed", async () => {
    const order: string[] = [];
    const earlier = transactions();
    const answers = ["a", "b", "c"].map((key, i) =>
      commits
        .run(
          () => {
            order.push(`run ${key}`);
            root.putSync(key, i);
            return i;
          },
          () => order.push(`told ${key} ${root.get(key)}`),
        )
        .then((result) => order.push(`answered ${key} ${result}`)),
    );
    await Promise.all(answers);
    assert.deepEqual(order, [
      ...["a", "b", "c"].map((key) => `run ${key}`),
      ...["a", "b", "c"].map((key, i) => `told ${key} ${i}`),
      ...["a", "b", "c"].map((key, i) => `answered ${key} ${i}`),
    ]);
    assert.equal(transactions(), earlier + 1);
  });

  test("one that cannot be stored fails alone, and leaves nothing of itself", async () => {
    const works = Array.from({ length: 100 }, (_, i) =>
      commits.run(() => {
        root.putSync(`key-${i}`, i);
        if (i === 37) throw new TypeError("this one is bad");
        return i;
      }),
    );
    const outcomes = await Promise.allSettled(works);
    assert.deepEqual(
      outcomes.flatMap((outcome, i) => (outcome.status === "rejected" ? [i] : [])),
      [37],
    );
    const failed = outcomes[37] as PromiseRejectedResult;
    assert.ok(failed.reason instanceof BackboneError && failed.reason.reason === "unavailable");
    assert.equal(root.get("key-37"), undefined);
    assert.equal(root.get("key-99"), 99);
  });

  test("one that is refused before it writes costs the others nothing", async () => {
    const earlier = transactions();
    const refusal = new BackboneError("full", "no room");
    const refused = commits.run(() => {
      throw refusal;
    });
    const stored = commits.run(() => root.putSync("stored", 1));
    await assert.rejects(refused, refusal);
    await stored;
    assert.equal(transactions(), earlier + 1);
  });

  test("a work that is alone is committed after those before it", async () => {
    const order: number[] = [];
    const first = commits.run(() => order.push(1));
    const alone = commits.alone(() => order.push(2));
    await Promise.all([first, alone]);
    assert.deepEqual(order, [1, 2]);
  });

  test("what a flush finds is committed at once", async () => {
    let done = false;
    const work = commits.run(() => root.putSync("flushed", 1)).then(() => (done = true));
    commits.flush();
    assert.equal(root.get("flushed"), 1);
    await work;
    assert.equal(done, true);
  });
});
