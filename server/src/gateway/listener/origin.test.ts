import assert from "node:assert/strict";
import { test } from "node:test";
import { mayConnectFrom } from "./origin.ts";

const ALLOWED = ["https://app.example.com"];

test("a program has no origin and may", () => {
  assert.equal(mayConnectFrom(undefined, "chat.example.com", ALLOWED), true);
});

test("pages may from the origins that are listed, exactly, and from the server's own", () => {
  for (const origin of ["https://app.example.com", "http://chat.example.com:8000", "https://chat.example.com:8000"]) {
    assert.equal(mayConnectFrom(origin, "chat.example.com:8000", ALLOWED), true, origin);
  }
});

test("pages of every other origin may not, however alike they look", () => {
  for (const origin of [
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://evil.example/https://app.example.com",
    "https://APP.example.com",
    "https://chat.example.com",
    "null",
    "",
    "file://",
  ]) {
    assert.equal(mayConnectFrom(origin, "chat.example.com:8000", ALLOWED), false, origin);
  }
  assert.equal(mayConnectFrom("https://app.example.com", "chat.example.com", []), false);
  assert.equal(mayConnectFrom("http://undefined", undefined, []), false);
});

test("* allows every page", () => {
  assert.equal(mayConnectFrom("https://anything.example", undefined, ["*"]), true);
});
