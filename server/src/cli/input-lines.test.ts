import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import * as fc from "fast-check";
import { lineGroups, type InputLine, type LineLimits } from "./input-lines.ts";

const LIMITS = { lines: 3, lineBytes: 1000 };

async function groupsOf(chunks: readonly Buffer[], limits: LineLimits = LIMITS): Promise<InputLine[][]> {
  const groups: InputLine[][] = [];
  for await (const group of lineGroups(Readable.from(chunks), limits)) groups.push(group);
  return groups;
}

test("lines are the same however the input is cut into chunks", async () => {
  const letters = fc.stringMatching(/^[a-zäß€😀 ]{0,8}$/u);
  await fc.assert(
    fc.asyncProperty(fc.array(letters, { minLength: 1 }), fc.array(fc.nat(200)), async (lines, cuts) => {
      const input = Buffer.from(lines.map((line) => `${line}\n`).join(""));
      const places = [0, ...cuts.map((cut) => Math.min(cut, input.length)).toSorted((a, b) => a - b), input.length];
      const chunks = places.slice(1).map((end, i) => input.subarray(places[i], end));
      const groups = await groupsOf(chunks);
      assert.deepEqual(
        groups.flat(),
        lines.map((text, i) => ({ number: i + 1, text })),
      );
      assert.ok(groups.every(({ length }) => length >= 1 && length <= LIMITS.lines));
    }),
  );
});

test("the last line needs no end, and a carriage return is none of it", async () => {
  assert.deepEqual((await groupsOf([Buffer.from("a\r\nb")])).flat(), [
    { number: 1, text: "a" },
    { number: 2, text: "b" },
  ]);
  assert.deepEqual(await groupsOf([]), []);
});

test("a line that is too long is not held, and the next one is read", async () => {
  const long = Buffer.alloc(700, "x");
  assert.deepEqual((await groupsOf([long, long, Buffer.from("\nok\n")])).flat(), [
    { number: 1, flaw: "has 1400 bytes; a line may have 1000" },
    { number: 2, text: "ok" },
  ]);
});

test("a large line is a group of its own", async () => {
  const large = `${"x".repeat(300_000)}\n`;
  const groups = await groupsOf([Buffer.from(`a\n${large}b\n`)], { lines: 100, lineBytes: 1_000_000 });
  assert.deepEqual(
    groups.map((group) => group.map(({ number }) => number)),
    [[1], [2], [3]],
  );
});

test("no more is read than is asked for", async () => {
  let read = 0;
  async function* chunks(): AsyncGenerator<Buffer> {
    for (; read < 1000; read++) yield Buffer.from("a\n");
  }
  const groups = lineGroups(Readable.from(chunks(), { highWaterMark: 1 }), LIMITS);
  await groups.next();
  assert.ok(read < 10, `read ${read} chunks for one group`);
  await groups.return(undefined);
});
