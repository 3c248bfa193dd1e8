import assert from "node:assert/strict";
import { test } from "node:test";
import { socketUrl } from "./url.ts";

test("what an application knows of its server becomes the WebSocket's address", () => {
  const path = "/connection/websocket";
  for (const [given, expected] of [
    ["ws://host:8000", `ws://host:8000${path}`],
    ["http://host:8000", `ws://host:8000${path}`],
    ["https://example.com/", `wss://example.com${path}`],
    ["wss://example.com/own/path?key=1#part", "wss://example.com/own/path?key=1"],
    ["HTTP://LOCALHOST", `ws://localhost${path}`],
  ] as const) {
    assert.equal(socketUrl(given), expected);
  }
});

test("anything else is refused with what is wrong", () => {
  assert.throws(() => socketUrl("localhost:8000"), { name: "TodokuError", code: 107, message: /not localhost:/ });
  assert.throws(() => socketUrl("/relative"), { code: 107, message: /is not a URL, such as ws:/ });
  assert.throws(() => socketUrl(""), { code: 107 });
  assert.throws(() => socketUrl("mqtt://host"), { code: 107, message: /ws, wss, http or https, not mqtt:/ });
});
