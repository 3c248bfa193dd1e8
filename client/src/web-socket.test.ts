import assert from "node:assert/strict";
import { test } from "node:test";
import type { TodokuError } from "@todoku/protocol";
import { Todoku } from "./index.ts";

test("K1, K2 a WebSocket that cannot even be made is an outage: told once, and tried again with growing delays", async () => {
  const errors: TodokuError[] = [];
  const delays: number[] = [];
  const timers: (() => void)[] = [];
  const client = new Todoku("ws://user:secret@gateway:8000", {
    clock: {
      now: () => 0,
      random: () => 1,
      after: (ms, callback) => {
        delays.push(ms);
        timers.push(callback);
        return () => {};
      },
    },
    WebSocket: class {
      constructor() {
        throw new Error("refused by the page's security policy");
      }
      send(): void {}
      close(): void {}
      addEventListener(): void {}
    },
  });
  client.on("error", (error) => errors.push(error));
  const connected = client.connect();
  for (let i = 0; i < 10; i++) {
    await new Promise((resolve) => setImmediate(resolve));
    timers.shift()?.();
  }
  assert.equal(client.state, "connecting");
  assert.deepEqual(delays.slice(0, 9), [200, 400, 800, 1600, 3200, 6400, 12_800, 20_000, 20_000]);
  assert.equal(errors.length, 1);
  assert.equal(errors[0]?.reason, "unreachable");
  assert.ok(!errors[0]?.message.includes("secret"), "a password in the URL is not repeated");
  await Promise.all([client.close(), assert.rejects(connected, { reason: "client_closed" })]);
});
