/** A short measurement of real servers, for what it says about them, not for the figures. */
import assert from "node:assert/strict";
import path from "node:path";
import { test } from "node:test";
import { centrifugal } from "../server/src/load/dialect.ts";
import { ContenderProcess } from "./contender-process.ts";
import { deliveriesOf } from "./deliveries.ts";
import { floor } from "./servers/floor.ts";
import type { Server } from "./servers/server.ts";
import { socketIo } from "./servers/socket-io.ts";
import { todoku } from "./servers/todoku.ts";

const SHORT = {
  connections: 12,
  channels: 3,
  loads: [{ name: "", rate: 300, warmUpMs: 100, measuredMs: 300 }],
};

for (const server of [floor, socketIo, todoku("at-most-once"), todoku("at-least-once on disk")]) {
  test(`every delivery of "${server.name}" is counted and checked`, async () => {
    const [measured, ...others] = await deliveriesOf(server, SHORT).measure();
    assert.deepEqual(others, []);
    assert.deepEqual(measured?.faults, []);
    assert.ok((measured?.details?.["deliveries/s"] ?? 0) > 0);
  });
}

test("a server that loses, repeats and spoils messages is found out", async () => {
  const faulty: Server = {
    name: "faulty",
    start: async (port) =>
      ContenderProcess.node(path.join(import.meta.dirname, "servers", "faulty-program.ts"), [String(port)]),
    dialect: async () => centrifugal({}),
  };
  const [measured] = await deliveriesOf(faulty, SHORT).measure();
  const faults = measured?.faults?.map((fault) => fault.replace(/^\d+ /, ""));
  assert.deepEqual(faults, ["lost", "repeated or out of order", "wrong"]);
});
