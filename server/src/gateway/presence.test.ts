import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "../manual-clock.ts";
import { openGateway } from "../test-gateway.ts";

const told = { join_leave: true, subscribe: "any", presence: "any", publish: "any" } as const;

test("N1 who may ask for presence is the namespace's to say", async (t) => {
  const gateway = await openGateway(t, {
    namespaces: { closed: { subscribe: "any" }, members: { subscribe: "any", presence: "subscribers" } },
  });
  const client = await gateway.connect();
  for (const method of ["presence", "presence_stats"] as const) {
    for (const channel of ["closed:1", "members:1"])
      assert.equal((await client.refused(method, { channel })).code, 103, `${method} ${channel}`);
  }
  await client.subscribe("members:1");
  await client.ask("presence", { channel: "members:1" });
  await client.ask("presence_stats", { channel: "members:1" });
});

test("N2, N3 presence names every subscription by its client, with what others may know of it, and counts users", async (t) => {
  const gateway = await openGateway(t, { jwt: true });
  const asker = await gateway.connectAs("bob");
  assert.deepEqual(await asker.ask("presence", { channel: "a" }), { presence: {} });
  assert.deepEqual(await asker.ask("presence_stats", { channel: "a" }), { num_clients: 0, num_users: 0 });

  const phone = await gateway.connectAs("ann", { info: { name: "Ann" } });
  const desk = await gateway.connectAs("ann");
  const [one, two] = [phone.connected.client, desk.connected.client];
  await phone.subscribe("a", { token: await gateway.token({ user: "ann", channel: "a", info: { role: "host" } }) });
  await desk.subscribe("a");
  await asker.subscribe("a");
  const three = asker.connected.client;
  assert.deepEqual(await asker.ask("presence", { channel: "a" }), {
    presence: {
      [one]: { user: "ann", client: one, conn_info: { name: "Ann" }, chan_info: { role: "host" } },
      [two]: { user: "ann", client: two },
      [three]: { user: "bob", client: three },
    },
  });
  assert.deepEqual(await asker.ask("presence_stats", { channel: "a" }), { num_clients: 3, num_users: 2 });

  await desk.ask("unsubscribe", { channel: "a" });
  phone.cut();
  await settle();
  assert.deepEqual(await asker.ask("presence_stats", { channel: "a" }), { num_clients: 1, num_users: 1 });
});

test("N4 who asked is told who joins and who leaves, by unsubscribing or by the end of the connection", async (t) => {
  const gateway = await openGateway(t, { namespaces: { room: told } });
  const watcher = await gateway.connect();
  await watcher.subscribe("room:1", { join_leave: true });
  const self = { user: "", client: watcher.connected.client };
  assert.deepEqual(await watcher.next("join", "room:1"), { info: self }, "its own join too");

  const guest = await gateway.connect();
  const info = { user: "", client: guest.connected.client };
  await guest.subscribe("room:1");
  assert.deepEqual(await watcher.next("join", "room:1"), { info });
  await guest.ask("unsubscribe", { channel: "room:1" });
  assert.deepEqual(await watcher.next("leave", "room:1"), { info });
  await guest.subscribe("room:1");
  assert.deepEqual(await watcher.next("join", "room:1"), { info });
  guest.cut();
  assert.deepEqual(await watcher.next("leave", "room:1"), { info });
  assert.deepEqual(await watcher.rest(), []);
  assert.deepEqual(await guest.rest(), [], "who did not ask is told nothing");
});

test("N4 where the namespace does not say so nobody is told, even who asks", async (t) => {
  const gateway = await openGateway(t);
  const watcher = await gateway.connect();
  await watcher.subscribe("a", { join_leave: true });
  const guest = await gateway.connect();
  await guest.subscribe("a");
  guest.cut();
  assert.deepEqual(await watcher.rest(), []);
});

test("N5 joins and leaves are not kept: not for who comes later, and not for who does not read", async (t) => {
  const gateway = await openGateway(t, {
    namespaces: { room: { ...told, retention: {} } },
    client: { queue_bytes: "1KiB" },
  });
  const slow = await gateway.connect();
  await slow.subscribe("room:1", { join_leave: true });
  await slow.rest();
  slow.socket.hold();
  await gateway.publish("room:1", "x".repeat(2000));
  await settle();
  const guest = await gateway.connect();
  await guest.subscribe("room:1");
  await settle();
  slow.socket.release();
  assert.equal(await slow.data(1).then(([data]) => String(data).length), 2000);
  assert.deepEqual(await slow.rest(), []);

  const late = await gateway.connect();
  await late.subscribe("room:1", { join_leave: true });
  const pushes = (await late.rest()).map(({ push }) => push?.join?.info.client);
  assert.deepEqual(pushes, [late.connected.client], "only its own");
});
