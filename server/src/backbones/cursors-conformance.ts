/** The obligations of the contract's cursors, one rule each. */
import assert from "node:assert/strict";
import { present, type Rule } from "./conformance-case.ts";
import type { Cursor, CursorKey } from "./contract.ts";

export const CURSOR_RULES: readonly Rule[] = [
  {
    title: "a cursor that was never stored is absent, and its fence rises with every claim",
    needs: "cursors",
    run: async (at) => {
      const first = await at.cursors.claim(at.cursorKey);
      const second = await present(at.other.cursors).claim(at.cursorKey);
      assert.equal(first.cursor, undefined);
      assert.ok(second.fence > first.fence);
      const together = await Promise.all(
        [at.cursors, present(at.other.cursors), at.cursors].map((cursors) => cursors.claim(at.cursorKey)),
      );
      assert.equal(new Set(together.map(({ fence }) => fence)).size, 3, "two claims at once got the same fence");
    },
  },
  {
    title: "a written cursor is what the next claim finds, on every instance",
    needs: "cursors",
    run: async (at) => {
      const { fence } = await at.cursors.claim(at.cursorKey);
      const cursor = at.cursor({ epoch: "e", offset: 7 }, 9, 2);
      assert.deepEqual(await at.cursors.write([{ key: at.cursorKey, fence, cursor }]), ["stored"]);
      assert.deepEqual((await present(at.other.cursors).claim(at.cursorKey)).cursor, cursor);
    },
  },
  {
    title: "a cursor never moves back within an epoch; at the same place sent and attempts are taken over",
    needs: "cursors",
    run: async (at) => {
      let { fence } = await at.cursors.claim(at.cursorKey);
      const write = (cursor: Cursor): Promise<readonly string[]> =>
        at.cursors.write([{ key: at.cursorKey, fence, cursor }]);
      const seven = { epoch: "e", offset: 7 };
      await write(at.cursor(seven));
      assert.deepEqual(await write(at.cursor({ epoch: "e", offset: 5 }, 20, 9)), ["stored"]);
      const claimed = await at.cursors.claim(at.cursorKey);
      assert.deepEqual(claimed.cursor, at.cursor(seven));
      ({ fence } = claimed);
      await write(at.cursor(seven, 12, 3));
      assert.deepEqual((await at.cursors.claim(at.cursorKey)).cursor, at.cursor(seven, 12, 3));
    },
  },
  {
    title: "a cursor of another epoch replaces the old one",
    needs: "cursors",
    run: async (at) => {
      const { fence } = await at.cursors.claim(at.cursorKey);
      await at.cursors.write([{ key: at.cursorKey, fence, cursor: at.cursor({ epoch: "old", offset: 700 }) }]);
      await at.cursors.write([{ key: at.cursorKey, fence, cursor: at.cursor({ epoch: "new", offset: 1 }) }]);
      assert.deepEqual((await at.cursors.claim(at.cursorKey)).cursor?.position, { epoch: "new", offset: 1 });
    },
  },
  {
    title: "after a claim, writes with an older fence are fenced and store nothing",
    needs: "cursors",
    run: async (at) => {
      const older = await at.cursors.claim(at.cursorKey);
      await at.cursors.write([{ key: at.cursorKey, fence: older.fence, cursor: at.cursor({ epoch: "e", offset: 1 }) }]);
      const newer = await present(at.other.cursors).claim(at.cursorKey);
      const zombie = { key: at.cursorKey, fence: older.fence, cursor: at.cursor({ epoch: "e", offset: 9 }) };
      assert.deepEqual(await at.cursors.write([zombie]), ["fenced"]);
      const next = { key: at.cursorKey, fence: newer.fence, cursor: at.cursor({ epoch: "e", offset: 2 }) };
      assert.deepEqual(await present(at.other.cursors).write([next]), ["stored"]);
      assert.equal((await at.cursors.claim(at.cursorKey)).cursor?.position.offset, 2);
    },
  },
  {
    title: "a write with a newer fence than the store knows is stored, and fences the older ones off",
    needs: "cursors",
    run: async (at) => {
      // As after a loss of the store under a gateway that goes on: its holders are not to be told of a take-over.
      const { fence } = await at.cursors.claim(at.cursorKey);
      const survivor = { key: at.cursorKey, fence: fence + 5, cursor: at.cursor({ epoch: "e", offset: 3 }) };
      assert.deepEqual(await at.cursors.write([survivor]), ["stored"]);
      const older = { key: at.cursorKey, fence, cursor: at.cursor({ epoch: "e", offset: 4 }) };
      assert.deepEqual(await at.cursors.write([older]), ["fenced"]);
      const claimed = await at.cursors.claim(at.cursorKey);
      assert.equal(claimed.cursor?.position.offset, 3);
      assert.ok(claimed.fence > survivor.fence);
    },
  },
  {
    title: "several cursors are written together, with outcomes in the order of the writes",
    needs: "cursors",
    run: async (at) => {
      const keys = ["a", "b", "c"].map((name) => ({ ...at.cursorKey, name }));
      const claims = await Promise.all(keys.map((key) => at.cursors.claim(key)));
      const writes = keys.map((key, i) => ({
        key,
        fence: (claims[i]?.fence ?? 0) - (i === 1 ? 1 : 0),
        cursor: at.cursor({ epoch: "e", offset: i + 1 }),
      }));
      assert.deepEqual(await at.cursors.write(writes), ["stored", "fenced", "stored"]);
    },
  },
  {
    title: "cursors of other users, names and channels are others, whatever characters they have",
    needs: "cursors",
    run: async (at) => {
      const keys: CursorKey[] = [
        at.cursorKey,
        { ...at.cursorKey, user: "ann2" },
        { ...at.cursorKey, name: "phone2" },
        { ...at.cursorKey, channel: `${at.channel}2` },
        { ...at.cursorKey, user: "an", name: "nphone" },
        { ...at.cursorKey, user: 'ü":,\u0000{}*'.repeat(100), name: "x".repeat(128) },
      ];
      for (const [i, key] of keys.entries()) {
        const { fence } = await at.cursors.claim(key);
        await at.cursors.write([{ key, fence, cursor: at.cursor({ epoch: "e", offset: i + 1 }) }]);
      }
      for (const [i, key] of keys.entries()) assert.equal((await at.cursors.claim(key)).cursor?.position.offset, i + 1);
    },
  },
  {
    title: "a forgotten cursor is gone, and its fence goes on rising",
    needs: "cursors",
    run: async (at) => {
      const before = await at.cursors.claim(at.cursorKey);
      await at.cursors.write([
        { key: at.cursorKey, fence: before.fence, cursor: at.cursor({ epoch: "e", offset: 1 }) },
      ]);
      await at.cursors.forget(at.cursorKey);
      const afterwards = await at.cursors.claim(at.cursorKey);
      assert.equal(afterwards.cursor, undefined);
      assert.ok(afterwards.fence > before.fence);
    },
  },
];
