import assert from "node:assert/strict";
import { test } from "node:test";
import { nearest } from "./nearest.ts";

const KNOWN = ["port", "host", "tls", "subscribe", "check"];

test("nearest finds the name that was meant", () => {
  for (const [typed, meant] of [
    ["prot", "port"],
    ["hots", "host"],
    ["chekc", "check"],
    ["ports", "port"],
    ["subscrbe", "subscribe"],
    ["tsl", "tls"],
  ] as const)
    assert.equal(nearest(typed, KNOWN), meant);
});

test("nearest says nothing when nothing is near", () => {
  for (const typed of ["", "banana", "xyz"]) assert.equal(nearest(typed, KNOWN), undefined);
  assert.equal(nearest("port", []), undefined);
});
