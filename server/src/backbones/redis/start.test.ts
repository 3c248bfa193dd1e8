import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { promisify } from "node:util";
import { needBroker } from "../../../../scripts/brokers/need.ts";
import { freePorts, ServerProcess } from "../../../../scripts/brokers/server-process.ts";
import { BackboneError, type Backbone, type Frame, type Queue } from "../contract.ts";
import { backboneOf, ownServer } from "./test-redis.ts";

const run = promisify(execFile);
const { skip } = await needBroker("redis");
const DURABLE = { appendonly: "yes", appendfsync: "always" };

/** What `docs/reference/backbones/redis-streams.md` says that the user needs. */
function documentedCommands(where: "one server" | "cluster"): readonly string[] {
  const page = readFileSync(
    path.join(import.meta.dirname, "../../../../docs/reference/backbones/redis-streams.md"),
    "utf8",
  );
  const [, list = ""] = /^```text\n(.*?)^```/ms.exec(page) ?? [];
  const lines = list
    .split("\n")
    .filter((line) => !(where === "cluster" ? /^optional/ : /^(in a Cluster|optional)/).test(line));
  return lines.join(" ").match(/\+\S+/g) ?? [];
}

describe("the start of a Redis backbone", { skip }, () => {
  const ends: (() => Promise<void>)[] = [];
  after(async () => {
    for (const end of ends.toReversed()) await end();
  });

  async function server(
    ...given: Parameters<typeof ownServer>
  ): Promise<{ url: string; port: string; folder: string }> {
    const { server, folder, end } = await ownServer(...given);
    ends.push(end);
    return { url: `redis://127.0.0.1:${server.port}`, port: String(server.port), folder };
  }

  async function opened(settings: object): Promise<Backbone> {
    const backbone = await backboneOf(settings);
    await backbone.open();
    ends.push(() => backbone.close());
    return backbone;
  }

  test("where no Redis is, the error says where, why and which key", async () => {
    const [port = 0] = await freePorts(1);
    for (const place of [
      { url: `redis://:secret@127.0.0.1:${port}` },
      { cluster: [`redis://:secret@127.0.0.1:${port}`] },
      { sentinels: [`redis://:secret@127.0.0.1:${port}`], master: "m" },
    ]) {
      const [key] = Object.keys(place);
      await assert.rejects(opened({ type: "redis-pubsub", ...place }), (error: BackboneError) => {
        assert.equal(error.reason, "unavailable");
        assert.match(
          error.message,
          new RegExp(
            `^\\[redis\\] cannot connect to redis://\\*\\*\\*@127\\.0\\.0\\.1:${port} \\(.*(ECONNREFUSED|All sentinels are unreachable)`,
          ),
        );
        assert.match(error.message, new RegExp(`Is Redis running.* Set backbones\\.redis\\.${key}$`));
        assert.doesNotMatch(error.message, /secret/);
        return true;
      });
    }
  });

  test("Sentinels have a login of their own; a master that they do not know is told", async () => {
    const { port } = await server({ requirepass: "for-the-servers" });
    const [watched = 0] = await freePorts(1);
    const folder = await mkdtemp(path.join(tmpdir(), "todoku-sentinel-"));
    const file = path.join(folder, "sentinel.conf");
    const monitor = [`sentinel monitor m 127.0.0.1 ${port} 1`, "sentinel auth-pass m for-the-servers"];
    await writeFile(file, [`port ${watched}`, "bind 127.0.0.1", "requirepass sentinels", ...monitor, ""].join("\n"));
    const watcher = new ServerProcess({
      name: "sentinel",
      folder,
      command: "redis-sentinel",
      args: [file],
      port: watched,
    });
    ends.push(async () => {
      await watcher.stop();
      await rm(folder, { recursive: true });
    });
    await watcher.start();
    const settings = {
      type: "redis-pubsub",
      sentinels: [`redis://:sentinels@127.0.0.1:${watched}`],
      master: "m",
      password: "for-the-servers",
    };
    await (await opened(settings)).check();
    await assert.rejects(
      opened({ ...settings, master: "other" }),
      /cannot connect to redis:\/\/\*\*\*@.*Do the Sentinels know a master called other\? Set backbones\.redis\.sentinels/,
    );
  });

  test("settings of the server that would lose messages are refused with the value and the way out", async () => {
    const cases: readonly (readonly [settings: Readonly<Record<string, string>>, asked: object, said: RegExp])[] = [
      [
        { ...DURABLE, "maxmemory-policy": "allkeys-lru" },
        {},
        /has maxmemory-policy allkeys-lru, .* Set it to noeviction/,
      ],
      [{ appendonly: "no" }, {}, /has appendonly no, so a restart loses messages\. .*confirm to memory/],
      [
        { appendonly: "yes", appendfsync: "everysec" },
        {},
        /has appendfsync everysec, .* set appendonly yes and appendfsync always/,
      ],
      [
        DURABLE,
        { confirm: "replicas" },
        /has 0 connected replicas, and 1 must confirm\. Add replicas, or set backbones\.redis\.confirm/,
      ],
    ];
    for (const [settings, asked, said] of cases) {
      const { url } = await server(settings);
      await assert.rejects(opened({ type: "redis-streams", url, ...asked }), (error: BackboneError) => {
        assert.equal(error.reason, "invalid");
        assert.match(error.message, said);
        return true;
      });
    }
  });

  test("a server that keeps nothing is enough where nothing is promised", async () => {
    const { url } = await server({ appendonly: "no" });
    const { capabilities } = await opened({ type: "redis-streams", url, confirm: "memory" });
    assert.deepEqual([capabilities.delivery, capabilities.durable], ["at-most-once", false]);
  });

  test("a user with the documented commands and no others can do everything; a wrong password is told", async () => {
    const { url, port } = await server(DURABLE);
    const user = [
      "acl",
      "setuser",
      "todoku",
      "on",
      ">right",
      "~mine:*",
      "&mine:*",
      "-@all",
      ...documentedCommands("one server"),
    ];
    assert.equal((await run("redis-cli", ["-p", port, ...user])).stdout, "OK\n");
    const settings = {
      type: "redis-streams",
      url,
      prefix: "mine:",
      name: "test-gateway",
      username: "todoku",
      ingest: true,
    };
    for (const wrong of [
      { ...settings, password: "wrong" },
      { type: "redis-pubsub", url: url.replace("//", "//todoku:wrong@") },
    ]) {
      await assert.rejects(opened(wrong), /\[redis\] cannot connect .*WRONGPASS.* may this user log in\?/);
    }
    const { log, bus, cursors, queue, ingest } = await opened({ ...settings, password: "right" });
    assert.ok(log && bus && cursors && queue && ingest);
    const frames: Frame[] = [];
    const stop = await bus.subscribe("c", (frame) => frames.push(frame));
    const retention = { ageMs: 60_000, messages: 1 };
    for (const id of ["1", "2"]) {
      const dedupe = { key: id, windowMs: 60_000 };
      await log.append("c", { id, time: Date.now(), data: "{}" }, { retention, dedupe });
    }
    await log.append("c", { id: "3", time: Date.now(), data: "{}" }, { retention: {} });
    assert.equal((await log.read("c", { limit: 10, reverse: true })).messages.length, 2);
    await log.read("c", { limit: 10 });
    const key = { channel: "c", user: "u", name: "n" };
    const { fence } = await cursors.claim(key);
    const cursor = { position: { epoch: "e", offset: 1 }, sent: 1, attempts: 0 };
    assert.deepEqual(await cursors.write([{ key, fence, cursor }]), ["stored"]);
    await cursors.forget(key);
    await everyQueueCall(queue);
    const taken = Promise.withResolvers<void>();
    const stopIngest = await ingest.start(async ({ channel }) => {
      taken.resolve();
      return channel === undefined ? { refused: "no channel" } : "taken";
    });
    for (const field of ["channel", "other"])
      await run("redis-cli", ["-p", port, "xadd", "mine:ingest", "*", field, "c"]);
    await taken.promise;
    while ((await run("redis-cli", ["-p", port, "xlen", "mine:ingest"])).stdout.trim() !== "0") continue;
    const connections = (await run("redis-cli", ["-p", port, "client", "list"])).stdout;
    await log.remove("c");
    await bus.publish("c", { kind: "signal", signal: "{}" });
    await stop();
    await stopIngest();

    for (const name of ["test-gateway", "test-gateway-sub", "test-gateway-ingest"])
      assert.match(connections, new RegExp(` name=${name} `));
    const { stdout } = await run("redis-cli", ["-p", port, "keys", "*"]);
    assert.deepEqual(
      stdout
        .trim()
        .split("\n")
        .filter((name) => !/^mine:(\{c\}:|\{q\}:|ingest)/.test(name)),
      [],
      "every key has the prefix",
    );
    const { stdout: refused } = await run("redis-cli", ["-p", port, "acl", "log"]);
    const denied = refused.matchAll(/reason\n(?:command|key|channel)\ncontext\n\w+\nobject\n(\S+)/g);
    assert.deepEqual(
      [...denied].map(([, what]) => what),
      ["config|get"],
      "nothing else was asked for that the user may not, and where CONFIG is forbidden the operator is believed",
    );
  });

  test("in a Cluster too the documented commands are enough; promises that its servers cannot keep are refused", async (t) => {
    const cluster = await needBroker("redis-cluster");
    if (cluster.skip !== false) return t.skip(cluster.skip);
    const ports = cluster.urls.map((url) => new URL(url).port);
    const onAll = (...words: string[]): Promise<unknown> =>
      Promise.all(ports.map((port) => run("redis-cli", ["-p", port, ...words])));
    const user = ["on", ">right", "~mine:*", "&mine:*", "-@all", ...documentedCommands("cluster")];
    await onAll("acl", "setuser", "limited", ...user);
    ends.push(async () => void (await onAll("acl", "deluser", "limited")));
    const login = { username: "limited", password: "right", prefix: "mine:" };
    const settings = { type: "redis-streams", cluster: cluster.urls, ...login };
    const { log, bus } = await opened(settings);
    assert.ok(log && bus);
    const heard = Promise.withResolvers<Frame>();
    const stop = await bus.subscribe("c", (frame) => heard.resolve(frame));
    const { offset } = await log.append("c", { id: "1", time: Date.now(), data: "{}" }, { retention: {} });
    const frame = await heard.promise;
    assert.equal(frame.kind === "message" && frame.position?.offset, offset);
    await stop();
    await log.remove("c");
    await assert.rejects(
      opened({ ...settings, confirm: "disk" }),
      /has 1 replica, and a failover to one loses what only .* Set backbones\.redis\.confirm to replicas/,
    );
    await assert.rejects(
      opened({ ...settings, replicas: 2 }),
      /has 1 connected replica, and 2 must confirm\. Add replicas/,
    );
  });

  test("TLS: the authority is believed when it is named; else, or with another name, the connection is refused", async () => {
    const { port, folder } = await server(
      {
        "tls-port": String((await freePorts(1))[0]),
        "tls-cert-file": "../server.crt",
        "tls-key-file": "../server.key",
        "tls-ca-cert-file": "../ca.crt",
        "tls-auth-clients": "no",
      },
      certificates,
    );
    const { stdout } = await run("redis-cli", ["-p", port, "config", "get", "tls-port"]);
    const url = `rediss://localhost:${stdout.trim().split("\n")[1]}`;
    const ca = path.join(folder, "ca.crt");
    const frames: Frame[] = [];
    const { bus } = await opened({ type: "redis-pubsub", url, tls: { ca } });
    assert.ok(bus);
    const heard = new Promise<void>((resolve) => {
      void bus
        .subscribe("c", (frame) => resolve(void frames.push(frame)))
        .then(() => bus.publish("c", { kind: "signal", signal: "{}" }));
    });
    await heard;
    assert.deepEqual(frames, [{ kind: "signal", signal: "{}" }]);
    await assert.rejects(
      opened({ type: "redis-pubsub", url }),
      /cannot connect .*(self-signed|unable to verify|unable to get)/,
    );
    await assert.rejects(
      opened({ type: "redis-pubsub", url, tls: { ca, server_name: "other.example" } }),
      /cannot connect .*(other\.example|altname|Hostname)/,
    );
  });
});

async function everyQueueCall(queue: Queue): Promise<void> {
  const redelivery = { maxAttempts: 1, backoff: { firstMs: 1, lastMs: 1 }, deadLetters: true };
  const take = async (): Promise<string> => {
    const { leases } = await queue.lease("q", "g", { limit: 1, leaseMs: 60_000, redelivery });
    return leases[0]?.lease ?? assert.fail("there is a job");
  };
  const unwatch = await queue.watch("q", () => {});
  await queue.enqueue("q", { id: "1", time: Date.now(), data: "{}" }, { dedupe: { key: "k", windowMs: 60_000 } });
  await queue.enqueue("q", { id: "2", time: Date.now(), data: "{}" }, { expiresAt: Date.now() + 60_000 });
  const first = await take();
  assert.equal(await queue.extend("q", "g", first, 60_000), "done");
  assert.equal(await queue.done("q", "g", first), "done");
  assert.equal(await queue.fail("q", "g", await take(), { redelivery, reason: "test" }), "dead");
  const dead = await queue.dead.list("q", { limit: 10 });
  const ids = dead.map(({ id }) => id);
  await queue.dead.get("q", ids);
  await queue.dead.replay("q", ids);
  await queue.dead.purge("q", ids);
  await queue.info("q");
  await queue.pause("q", true);
  await queue.pause("q", false);
  await queue.forget("q", "g");
  await unwatch();
}

async function certificates(folder: string): Promise<void> {
  const openssl = (...args: string[]): Promise<unknown> => run("openssl", args, { cwd: folder });
  const key = ["-newkey", "rsa:2048", "-nodes"];
  await openssl("req", "-x509", ...key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=Test CA", "-days", "2");
  const name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const signed = ["-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2"];
  await openssl("req", "-x509", ...key, "-keyout", "server.key", "-out", "server.crt", ...name, ...signed);
}
