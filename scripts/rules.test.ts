import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { checkRules, compare, namingsIn, rulesIn, rulesOf } from "./rules.ts";

test("a rule is a bold number at the beginning of a line", () => {
  const spec = "**F1.** One.\n\nas **F2.** says\n**K12.** Twelve.\n| **F3.** |";
  assert.deepEqual(rulesOf(spec), ["F1", "K12"]);
});

test("a title names the rules that it begins with", () => {
  assert.deepEqual(rulesIn("F1 a frame holds objects"), ["F1"]);
  assert.deepEqual(rulesIn("F1, S12 and K3: three at once"), ["F1", "S12", "K3"]);
  assert.deepEqual(rulesIn("F1 F2 A frame"), ["F1", "F2"]);
  for (const title of ["a frame as F1 says", "X509 certificates", "F1a", "Frames"])
    assert.deepEqual(rulesIn(title), []);
});

test("titles are found however the test is called and quoted, and not in comments or skipped tests", () => {
  const source = [
    'test("F1 plain", () => {});',
    "await context.test(`F2 a subtest of ${name}`, async () => {});",
    "test(\n  'F3 it\\'s on a line of its own',",
    '// test("F4 commented out")',
    'test.skip("F5 skipped", () => {});',
    'test("no rule", () => {});',
  ].join("\n");
  assert.deepEqual(
    namingsIn("a.test.ts", source).flatMap(({ rules }) => rules),
    ["F1", "F2", "F3"],
  );
  const golden = '{"name":"F6 an example","frame":"{}"}\n\n{"name":"F7, F8 another"}\n';
  assert.deepEqual(
    namingsIn("frames.jsonl", golden).flatMap(({ rules }) => rules),
    ["F6", "F7", "F8"],
  );
});

test("a rule without a test, a test without its rule and a repeated number are all found", () => {
  const naming = { file: "a.test.ts", title: "F1 F9 both", rules: ["F1", "F9"] };
  assert.deepEqual(compare(["F1", "F2", "F2"], [naming]), {
    untested: ["F2", "F2"],
    unknown: [naming],
    repeated: ["F2"],
  });
  assert.deepEqual(compare(["F1", "F9"], [naming]), { untested: [], unknown: [], repeated: [] });
});

test("the check is green when rules and tests agree, and red both ways", () => {
  const root = mkdtempSync(path.join(os.tmpdir(), "todoku-rules-"));
  try {
    for (const folder of ["protocol/src", "tests"]) mkdirSync(path.join(root, folder), { recursive: true });
    const write = (file: string, text: string) => writeFileSync(path.join(root, file), text);
    write("protocol/SPEC.md", "**F1.** One.\n\n**F2.** Two.\n");
    write("protocol/src/a.test.ts", 'test("F1 one", () => {});');
    assert.deepEqual(checkRules(root), { ok: false, output: "1 of 2 rules have no test: F2" });
    write("tests/b.test.ts", 'test("F2 two", () => {});');
    assert.deepEqual(checkRules(root), { ok: true, output: "" });
    write("tests/b.test.ts", 'test("F2, F3 two", () => {});');
    assert.deepEqual(checkRules(root), {
      ok: false,
      output: 'tests/b.test.ts: "F2, F3 two" names a rule that protocol/SPEC.md lacks',
    });
  } finally {
    rmSync(root, { recursive: true });
  }
});
