import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { parseConfig } from "../../config-file.ts";
import { preflight } from "../../preflight.ts";
import { createPublisher } from "../../publisher.ts";

const run = promisify(execFile);
const URL = "redis://127.0.0.1:6379";

const REFUSED: readonly (readonly [title: string, settings: object, said: RegExp])[] = [
  ["nowhere to connect", { type: "redis-pubsub" }, /backbones\.r says where .* has none\. Set backbones\.r\.url/],
  ["two places", { type: "redis-pubsub", url: URL, cluster: [URL] }, /has url and cluster\. Keep one/],
  ["Sentinels without a name", { type: "redis-streams", sentinels: [URL] }, /Set backbones\.r\.master to the name/],
  [
    "a name without Sentinels",
    { type: "redis-pubsub", url: URL, master: "m" },
    /master \(m\) goes with sentinels only/,
  ],
  [
    "a Cluster's database",
    { type: "redis-streams", cluster: [`${URL}/3`] },
    /names a database .*6379\/3.* Remove the path/,
  ],
  [
    "replicas that are not asked",
    { type: "redis-streams", url: URL, replicas: 2 },
    /replicas \(2\) .* confirm: disk\. /,
  ],
  [
    "time for replicas that are not asked",
    { type: "redis-streams", cluster: [URL], confirm: "memory", confirm_timeout: "1s" },
    /confirm_timeout \(1000\) has no effect with confirm: memory/,
  ],
  [
    "more time than a call may take",
    { type: "redis-streams", cluster: [URL], confirm_timeout: "10s" },
    /confirm_timeout is 10s\. Set it to 3s or less/,
  ],
  [
    "an authority that is not there",
    { type: "redis-pubsub", url: URL, tls: { ca: "/nowhere/ca.pem" } },
    /backbones\.r\.tls\.ca cannot be read \(ENOENT.*Set it to a PEM file/,
  ],
];

for (const [title, settings, said] of REFUSED) {
  test(`${title} is refused, with the key and the way out`, async () => {
    const config = { backbones: { r: settings }, namespaces: {} } as Parameters<typeof createPublisher>[0];
    const [problem, ...others] = preflight(parseConfig(config));
    assert.match(problem ?? "", said);
    assert.deepEqual(others, []);
    await assert.rejects(createPublisher(config), said);
  });
}

test("redis-sharded takes a Cluster and nothing else", () => {
  assert.throws(
    () => parseConfig({ backbones: { r: { type: "redis-sharded", url: URL } as never } }),
    /backbones\.r\.url|backbones\.r\.cluster/,
  );
});

test("without ioredis the start says what to install", async () => {
  const absent = `
    import { registerHooks } from "node:module";
    registerHooks({ resolve: (name, context, next) => next(name === "ioredis" ? "ioredis-is-absent" : name, context) });
    const { backboneSchema, createBackbone } = await import(${JSON.stringify(import.meta.resolve("./../registry.ts"))});
    await createBackbone("r", backboneSchema.parse({ type: "redis-pubsub", url: "${URL}" }), {});
  `;
  await assert.rejects(
    run(process.execPath, ["--conditions=source", "--input-type=module", "--eval", absent]),
    /\[r\] needs the package ioredis\. Install it: npm install ioredis/,
  );
});
