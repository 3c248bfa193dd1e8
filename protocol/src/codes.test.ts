import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { CLIENT_ERRORS, CLOSES, ERRORS, UNSUBSCRIBES, reconnects, type Code } from "./codes.ts";

const SPEC = readFileSync(path.join(import.meta.dirname, "../SPEC.md"), "utf8");
const tables: Readonly<Record<string, Readonly<Record<string, Code>>>> = {
  ERRORS,
  CLIENT_ERRORS,
  UNSUBSCRIBES,
  CLOSES,
};

test("E1 the errors are those of the document", () => assert.deepEqual(rows(ERRORS), documented("E1")));
test("E2 the unsubscribe codes are those of the document", () =>
  assert.deepEqual(rows(UNSUBSCRIBES), documented("E2")));
test("E3 the close codes are those of the document", () => assert.deepEqual(rows(CLOSES), documented("E3")));

test("no number stands for two things, and no name for two in one table", () => {
  const numbers = Object.values(tables).flatMap((table) => Object.values(table).map(({ code }) => code));
  assert.deepEqual(numbers, [...new Set(numbers)]);
  for (const table of Object.values(tables)) {
    const names = Object.values(table).map(({ name }) => name);
    assert.deepEqual(names, [...new Set(names)]);
  }
});

test("names are in snake case, messages are short and fit into a close reason", () => {
  for (const table of Object.values(tables)) {
    for (const { name, message } of Object.values(table)) {
      assert.match(name, /^[a-z]+(_[a-z]+)*$/);
      assert.ok(message.length > 0 && message.length <= 60, message);
    }
  }
});

test("E3 whether a client reconnects agrees with what the table says to do", () => {
  for (const { code, retry, name } of Object.values(CLOSES)) assert.equal(reconnects(code), retry !== "stop", name);
});

test("E3 the ranges decide, at each of their ends", () => {
  for (const code of [1000, 1001, 1006, 1009, 2999, 3000, 3499, 4000, 4499, 5000])
    assert.equal(reconnects(code), true, String(code));
  for (const code of [3500, 3999, 4500, 4999]) assert.equal(reconnects(code), false, String(code));
});

test("E2 the client subscribes again exactly at 2500 and above", () => {
  for (const { code, retry } of Object.values(UNSUBSCRIBES)) assert.equal(code >= 2500, retry !== "stop");
});

test("E1 errors below 400 are the base protocol's, and ours are 400 to 499", () => {
  for (const { code } of Object.values(ERRORS)) assert.ok((code >= 100 && code <= 112) || (code >= 400 && code < 500));
});

function rows(table: Readonly<Record<string, Code>>): readonly string[] {
  return Object.values(table).map(({ code, name, retry }) => `${code} ${name} ${retry}`);
}

/** The rows of the table that follows a rule. */
function documented(rule: string): readonly string[] {
  const [, after = ""] = SPEC.split(`**${rule}.**`);
  const [table = ""] = after.split("\n**");
  return [...table.matchAll(/^\| (\d+) \| (\w+) \| (\w+) \|$/gm)].map(
    ([, code, name, retry]) => `${code} ${name} ${retry}`,
  );
}
