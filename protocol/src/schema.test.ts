import assert from "node:assert/strict";
import { test } from "node:test";
import type { Method } from "./frames.ts";
import { checkRequest, isMethod, needsId } from "./schema.ts";

test("F2 the methods are known by their own names only", () => {
  for (const name of ["connect", "subscribe", "publish", "ack", "nack", "presence_stats"]) assert.ok(isMethod(name));
  for (const name of ["", "Connect", "presenceStats", "ping", "toString", "__proto__", "constructor"])
    assert.ok(!isMethod(name), name);
});

test("F4 only send, ack and nack may come without an id", () => {
  const methods =
    "connect subscribe unsubscribe publish history presence presence_stats rpc refresh sub_refresh send ack nack";
  const without = methods.split(" ").filter((method) => isMethod(method) && !needsId(method));
  assert.deepEqual(without, ["send", "ack", "nack"]);
});

test("F14 each bound holds at its end and not one beyond", () => {
  const text = (length: number) => "x".repeat(length);
  const entries = (count: number, value: unknown) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`n${i}`, value]));
  const bounds: readonly (readonly [Method, object, (size: number) => object, number])[] = [
    ["connect", {}, (size) => ({ token: text(size) }), 16_384],
    ["connect", {}, (size) => ({ name: text(size) }), 128],
    ["connect", {}, (size) => ({ version: text(size) }), 128],
    ["connect", {}, (size) => ({ subs: entries(size, { recover: true }) }), 1024],
    ["subscribe", { channel: "a" }, (size) => ({ durable: text(size) }), 128],
    ["subscribe", { channel: "a" }, (size) => ({ epoch: text(size) }), 128],
    ["subscribe", { channel: "a" }, (size) => ({ token: text(size) }), 16_384],
    ["subscribe", { channel: "a" }, (size) => ({ in_flight: size }), 10_000],
    ["publish", { channel: "a", data: 1 }, (size) => ({ key: text(size) }), 128],
    ["publish", { channel: "a", data: 1 }, (size) => ({ tags: entries(size, "") }), 16],
    ["publish", { channel: "a", data: 1 }, (size) => ({ tags: { n: text(size) } }), 256],
    ["publish", { channel: "a", data: 1 }, (size) => ({ tags: { [text(size)]: "" } }), 256],
    ["rpc", {}, (size) => ({ method: text(size) }), 128],
    ["refresh", {}, (size) => ({ token: text(size) }), 16_384],
    ["presence", {}, (size) => ({ channel: text(size) }), 255],
  ];
  for (const [method, rest, field, most] of bounds) {
    assert.equal(checkRequest(method, { ...rest, ...field(most) }), undefined, `${method} ${JSON.stringify(field(1))}`);
    assert.notEqual(checkRequest(method, { ...rest, ...field(most + 1) }), undefined, `${method} of ${most + 1}`);
  }
});

test("F7 a null is taken out where it means an absent field, and stays where it is data", () => {
  const request = { channel: "a", data: null, key: null, tags: null };
  assert.equal(checkRequest("publish", request), undefined);
  assert.deepEqual(request, { channel: "a", data: null });
  const connect = { token: null, data: null, subs: { a: { recover: null, offset: 3 } }, todoku: null };
  assert.equal(checkRequest("connect", connect), undefined);
  assert.deepEqual(connect, { data: null, subs: { a: { offset: 3 } } });
});

test("F13 a required field that is null is missing", () => {
  assert.equal(checkRequest("ack", { channel: "a", offset: null, epoch: "x" }), "offset is missing");
  assert.equal(checkRequest("send", {}), "data is missing");
  assert.equal(checkRequest("send", { data: null }), undefined);
});

test("F13 fields that only the prototype has are missing", () => {
  assert.equal(
    checkRequest("presence", Object.create({ channel: "a" }) as Record<string, unknown>),
    "channel is missing",
  );
});
