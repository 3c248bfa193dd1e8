/** Publishing against a whole gateway, over connections that lose what they carry. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { numbers } from "../tests/gate.ts";
import { GatewayInProcess } from "../tests/gateway-in-process.ts";
import { ERRORS, TodokuError, type Json } from "./index.ts";

test("K12 a publish resolves with the stored position, and always has a key", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const first = await gateway.passing(client.publish("chat:1", { text: "hi" }));
  const second = await gateway.passing(client.publish("chat:1", null, { tags: { mood: "calm" } }));
  assert.deepEqual([first.offset, first.duplicate, second.offset], [1, false, 2]);
  assert.equal(first.epoch, second.epoch);
  const keys = publishesOf(gateway).map(({ key }) => key);
  assert.equal(new Set(keys).size, 2);
  assert.match(String(keys[0]), /^[0-9a-f]{32}$/);
  assert.deepEqual(await gateway.passing(client.publish("ticker:1", 1)), { duplicate: false });
});

test("K12 a publish whose answer got lost is stored once", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  await gateway.passing(client.connect());
  gateway.network.line.passes = (_frame, to) => to === "server";
  const publishing = client.publish("chat:1", "once");
  await gateway.clock.advance(3000);
  gateway.network.cut();
  const published = await gateway.passing(publishing);
  assert.deepEqual([published.offset, published.duplicate], [1, true]);
  const { messages } = await gateway.passing(client.history("chat:1"));
  assert.deepEqual(
    messages.map(({ data }) => data),
    ["once"],
  );
  const [sent, again] = publishesOf(gateway);
  assert.equal(sent?.["key"], again?.["key"]);
  assert.equal(sent?.["key_age"], undefined);
  assert.ok(Number(again?.["key_age"]) >= 3000);
});

test("K12 a publish that got no answer on a living connection is sent again on it", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  await gateway.passing(client.connect());
  let lost = 0;
  gateway.network.line.passes = (frame, to) => to === "server" || !frame.includes('"publish":{') || lost++ > 1;
  const published = await gateway.passing(client.publish("chat:1", "once"));
  assert.equal(published.duplicate, true);
  assert.equal(publishesOf(gateway).length, 3);
  assert.equal(gateway.network.lines.length, 1);
});

test("K12 what is published while not connected is sent in the order of the calls", async () => {
  await using gateway = await GatewayInProcess.open({ client: { rate: { publish: "off", user: "off" } } });
  const client = gateway.client();
  const publishing = Promise.all(numbers(1, 300).map((data) => client.publish("chat:1", data)));
  const published = await gateway.passing(publishing);
  assert.deepEqual(
    published.map(({ offset }) => offset),
    numbers(1, 300),
  );
});

test("K12 beyond the server's rate publishes wait, and all are stored", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const published = await gateway.passing(Promise.all(numbers(1, 400).map((data) => client.publish("chat:1", data))));
  assert.equal(new Set(published.map(({ offset }) => offset)).size, 400);
  assert.ok(publishesOf(gateway).length < 4000, `${publishesOf(gateway).length} sent for 400`);
});

test("K12 after a passing trouble of the server it is repeated, with an age only if it may have been stored", async () => {
  const troubles = [ERRORS.backboneUnavailable, ERRORS.internal, ERRORS.storageFull];
  await using gateway = await GatewayInProcess.open({
    hooks: {
      onPublish: () => {
        const trouble = troubles.shift();
        if (trouble) throw new TodokuError(trouble);
      },
    },
  });
  const published = await gateway.passing(gateway.client().publish("chat:1", 1));
  assert.equal(published.offset, 1);
  assert.deepEqual(
    publishesOf(gateway).map(({ key_age }) => key_age !== undefined),
    [false, false, true, true],
  );
});

test("K12 one that was never sent fails in time, and certainly", async () => {
  await using gateway = await GatewayInProcess.open();
  gateway.network.accept = undefined;
  const client = gateway.client({ publishTimeoutMs: 5000 });
  client.on("error", () => {});
  const begun = gateway.clock.now();
  await assert.rejects(gateway.passing(client.publish("chat:1", 1)), { name: "TodokuError", reason: "unreachable" });
  assert.ok(gateway.clock.now() - begun < 6000);
});

test("K12 one that was refused for the whole time fails with the refusal", async () => {
  await using gateway = await GatewayInProcess.open({
    hooks: {
      onPublish: () => {
        throw new TodokuError(ERRORS.backboneUnavailable);
      },
    },
  });
  await assert.rejects(gateway.passing(gateway.client().publish("chat:1", 1)), { reason: "backbone_unavailable" });
});

test("K12 one that was sent and never answered fails as unknown", async () => {
  await using gateway = await GatewayInProcess.open();
  gateway.network.passes = (frame, to) => to === "server" || !frame.includes('"publish":{');
  const client = gateway.client({ publishTimeoutMs: 15_000 });
  await assert.rejects(gateway.passing(client.publish("chat:1", 1)), { code: 403, reason: "outcome_unknown" });
});

test("K12 a refusal that another try cannot change rejects at once; after an unanswered try it leaves the outcome unknown", async () => {
  let allowed = true;
  await using gateway = await GatewayInProcess.open({
    hooks: {
      onPublish: () => {
        if (!allowed) throw new TodokuError(ERRORS.permissionDenied);
      },
    },
  });
  const client = gateway.client();
  await gateway.passing(client.connect());
  gateway.network.line.passes = (_frame, to) => to === "server";
  const unsure = client.publish("chat:1", 1);
  unsure.catch(() => {});
  await gateway.clock.advance(100);
  allowed = false;
  gateway.network.cut();
  await assert.rejects(gateway.passing(unsure), (error: TodokuError) => {
    assert.equal(error.reason, "outcome_unknown");
    assert.equal((error.cause as TodokuError).reason, "permission_denied");
    return true;
  });
  await assert.rejects(gateway.passing(client.publish("chat:1", 2)), { reason: "permission_denied" });
});

test("K12 a repeat that is older than the server's window is not stored twice, and leaves the outcome unknown", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client({ publishTimeoutMs: 3_600_000 });
  await gateway.passing(client.connect());
  gateway.network.line.passes = (_frame, to) => to === "server";
  const publishing = client.publish("chat:1", 1);
  publishing.catch(() => {});
  await gateway.clock.advance(100);
  client.disconnect();
  await gateway.clock.advance(700_000);
  await gateway.passing(client.connect());
  await assert.rejects(gateway.passing(publishing), { reason: "outcome_unknown" });
  const { messages } = await gateway.passing(client.history("chat:1"));
  assert.equal(messages.length, 1);
});

test("K12 on a channel without a log a lost answer leaves the outcome unknown, and no message comes twice", async () => {
  await using gateway = await GatewayInProcess.open();
  const handled: Json[] = [];
  await gateway.passing(gateway.client().subscribe("ticker:1", ({ data }) => handled.push(data)).ready);
  const client = gateway.client();
  await gateway.passing(client.connect());
  gateway.network.line.passes = (_frame, to) => to === "server";
  const publishing = client.publish("ticker:1", 1);
  publishing.catch(() => {});
  await gateway.until(() => handled.length === 1);
  gateway.network.line.cut();
  await assert.rejects(gateway.passing(publishing), { reason: "outcome_unknown" });
  await gateway.clock.advance(1000);
  assert.deepEqual(handled, [1]);
});

test("K12 a signal gives up: certainly before it was sent, unknown after", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  await assert.rejects(client.publish("chat:1", 1, { signal: AbortSignal.abort("no more") }), {
    reason: "aborted",
    cause: "no more",
  });
  const early = new AbortController();
  const unsent = client.publish("chat:1", 1, { signal: early.signal });
  early.abort("changed my mind");
  await assert.rejects(unsent, { reason: "aborted", cause: "changed my mind" });
  await gateway.passing(client.connect());
  gateway.network.line.passes = (_frame, to) => to === "server";
  const late = new AbortController();
  const sent = client.publish("chat:1", 2, { signal: late.signal });
  late.abort();
  await assert.rejects(sent, { reason: "outcome_unknown" });
});

test("a repeat says what was published, though the application has changed its object since", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  const data = { count: 1 };
  const publishing = client.publish("chat:1", data);
  data.count = 2;
  await gateway.passing(publishing);
  const { messages } = await gateway.passing(client.history("chat:1"));
  assert.deepEqual(messages[0]?.data, { count: 1 });
});

test("a key of the application's own makes a repeat by another client a duplicate", async () => {
  await using gateway = await GatewayInProcess.open();
  const first = await gateway.passing(gateway.client().publish("chat:1", 1, { key: "order-7" }));
  const again = await gateway.passing(gateway.client().publish("chat:1", 1, { key: "order-7" }));
  assert.deepEqual(again, { ...first, duplicate: true });
});

test("what JSON cannot hold, and more than may wait, is refused with the way out", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  await assert.rejects(client.publish("chat:1", undefined as unknown as Json), { code: 107 });
  const waiting = numbers(1, 1000).map((data) => client.publish("chat:1", data));
  for (const one of waiting) one.catch(() => {});
  await assert.rejects(client.publish("chat:1", 1001), { code: 106, message: /await them/ });
});

test("K22 a publish that fits in no frame fails, and the others are sent on the next connection", async () => {
  await using gateway = await GatewayInProcess.open();
  const client = gateway.client();
  await gateway.passing(client.connect());
  const { line } = gateway.network;
  // The transport's refusal, which this network without frames' limits does not make by itself.
  line.passes = (frame, to) => {
    if (to === "server" && frame.length > 256 * 1024) line.close(1009);
    return line.closedBy === undefined && frame.length <= 256 * 1024;
  };
  const small = client.publish("chat:1", "small");
  const large = client.publish("chat:1", "x".repeat(300_000));
  await assert.rejects(gateway.passing(large), { code: 400, reason: "message_too_large" });
  await gateway.passing(small);
  assert.equal(publishesOf(gateway).filter(({ data }) => String(data).length > 1000).length, 1);
});

function publishesOf(gateway: GatewayInProcess): readonly Record<string, unknown>[] {
  return gateway.network.commands.flatMap(({ publish }) => (publish ? [publish] : []));
}
