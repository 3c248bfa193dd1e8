/** The OpenAPI document is sound, says everything, and says the truth about what really goes over the wire. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { openApiDocument } from "./openapi.ts";
import { ROUTES } from "./routes.ts";
import { RunningApi } from "./running-api.ts";

interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly requestBody: { readonly required: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content: Content }>>;
}
type Content = Readonly<Record<string, { readonly schema: object }>>;

const document = openApiDocument("1.2.3") as {
  readonly openapi: string;
  readonly info: Record<string, unknown>;
  readonly security: Record<string, unknown>[];
  readonly paths: Readonly<Record<string, { readonly post: Operation }>>;
  readonly components: Readonly<Record<string, Record<string, unknown>>>;
};
const schemaIn = (content: Content | undefined): object => {
  const schema = content?.["application/json"]?.schema;
  assert.ok(schema, "no schema for application/json");
  return schema;
};

/** Every object in a piece of JSON. */
function* objectsIn(value: unknown): Iterable<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield value as Record<string, unknown>;
  for (const inner of Object.values(value)) yield* objectsIn(inner);
}

function find(reference: string): unknown {
  const steps = reference.replace(/^#\//, "").split("/");
  return steps.reduce<unknown>((here, step) => (here as Record<string, unknown>)[step], document);
}

/** The schema with what it refers to in its place. */
function whole(schema: unknown): unknown {
  if (typeof schema !== "object" || schema === null) return schema;
  if (Array.isArray(schema)) return schema.map(whole);
  if ("$ref" in schema) return whole(find(String(schema.$ref)));
  return Object.fromEntries(Object.entries(schema).map(([key, inner]) => [key, whole(inner)]));
}

function mustFit(schema: object, value: unknown, what: string): void {
  const checked = z.fromJSONSchema(whole(schema) as Parameters<typeof z.fromJSONSchema>[0]).safeParse(value);
  assert.ok(checked.success, `${what}: ${JSON.stringify(value)?.slice(0, 300)} ${checked.error?.message}`);
}

describe("the OpenAPI document", () => {
  test("has what OpenAPI 3.1 demands", () => {
    assert.match(document.openapi, /^3\.1\.\d+$/);
    assert.equal(typeof document.info["title"], "string");
    assert.equal(document.info["version"], "1.2.3");
    for (const [path, { post }] of Object.entries(document.paths)) {
      assert.match(path, /^\//);
      assert.ok(Object.keys(post.responses).every((status) => /^[1-5]\d\d$/.test(status)));
      for (const { description, content } of Object.values(post.responses)) {
        assert.ok(description.length > 0);
        schemaIn(content);
      }
    }
    const ids = Object.values(document.paths).map(({ post }) => post.operationId);
    assert.equal(new Set(ids).size, ids.length);
    for (const needed of document.security) {
      for (const scheme of Object.keys(needed)) assert.ok(document.components["securitySchemes"]?.[scheme], scheme);
    }
  });

  test("refers to nothing that is not there, and each schema can be read as one", () => {
    for (const one of objectsIn(document)) {
      if ("$ref" in one) assert.ok(find(String(one["$ref"])), String(one["$ref"]));
      assert.ok(!("$schema" in one), "a schema inside the document has a dialect of its own");
    }
    for (const { post } of Object.values(document.paths)) {
      z.fromJSONSchema(whole(schemaIn(post.requestBody.content)) as Parameters<typeof z.fromJSONSchema>[0]);
    }
  });

  test("has every method of the API, and no other", () => {
    assert.deepEqual(
      Object.keys(document.paths),
      ROUTES.map(({ method }) => `/api/${method}`),
    );
    const asked =
      "publish broadcast batch presence presence_stats history history_remove channels info subscribe unsubscribe disconnect refresh " +
      "queue_info queue_pause queue_forget dead_list dead_show dead_replay dead_purge";
    assert.deepEqual(ROUTES.map(({ method }) => method).toSorted(), asked.split(" ").toSorted());
  });

  test("says enough for a page of documentation: a summary, and a type or description for every field", () => {
    for (const { post } of Object.values(document.paths)) {
      assert.match(post.summary, /^[A-Z].*[.]/);
      const { properties = {} } = schemaIn(post.requestBody.content) as { properties?: Record<string, object> };
      for (const [name, field] of Object.entries(properties)) {
        assert.ok("type" in field || "description" in field, `${post.operationId}.${name}`);
      }
    }
  });

  test("says which fields a request must have", () => {
    const required = (method: string): unknown =>
      (schemaIn(document.paths[`/api/${method}`]?.post.requestBody.content) as { required?: string[] }).required;
    assert.deepEqual(required("publish"), ["channel", "data"]);
    assert.deepEqual(required("broadcast"), ["channels", "data"]);
    assert.deepEqual(required("batch"), ["commands"]);
    assert.deepEqual(required("history"), ["channel"]);
    assert.deepEqual(required("disconnect"), ["user"]);
    assert.equal(required("info"), undefined);
  });
});

describe("what goes over the wire", () => {
  let api: RunningApi;
  before(async () => (api = await RunningApi.start()));
  after(() => api.close());

  test("the document is served to anyone", async () => {
    const { status, body } = await api.send({ method: "GET", path: "/api/openapi.json" });
    assert.equal(status, 200);
    assert.deepEqual(body.paths, JSON.parse(JSON.stringify(document.paths)));
  });

  test("fits the document: every method, with a full and with a failing request", async () => {
    const client = await api.connect("ann");
    await client.ask({ subscribe: { channel: "chat:a" } });
    const user = "ann";
    const channel = "chat:a";
    const publish = { channel, data: { a: [1, null] }, tags: { t: "1" }, idempotency_key: "k" };
    const queue = "jobs:a";
    const calls: readonly (readonly [string, Record<string, unknown>])[] = [
      ["publish", publish],
      ["publish", publish],
      ["publish", { channel: "bare", data: 1 }],
      ["publish", { channel: "nowhere:x", data: 1 }],
      ["broadcast", { channels: [channel, "bare", "nowhere:x"], data: 1 }],
      ["broadcast", { channels: [], data: 1 }],
      ["batch", { commands: [{ publish }, { info: {} }, { nonsense: {} }], parallel: true }],
      ["batch", { commands: [] }],
      ["history", { channel, limit: 10 }],
      ["history", { channel, limit: 10, since: { offset: 0 }, reverse: true }],
      ["history", { channel: "bare" }],
      ["history_remove", { channel: "chat:removed" }],
      ["history_remove", { channel: "bare" }],
      ["presence", { channel }],
      ["presence", { channel: "" }],
      ["presence_stats", { channel }],
      ["presence_stats", {}],
      ["publish", { channel: queue, data: 1, deliver_at: 1, ttl: 1000 }],
      ["queue_info", { queue }],
      ["queue_info", { queue: channel }],
      ["queue_pause", { queue, paused: false }],
      ["queue_pause", { queue, paused: "no" }],
      ["queue_forget", { queue, group: "g" }],
      ["queue_forget", { queue }],
      ["dead_list", { queue, limit: 10, after: "1" }],
      ["dead_list", { queue, limit: 0 }],
      ["dead_show", { queue, ids: ["1"] }],
      ["dead_show", { queue }],
      ["dead_replay", { queue, ids: ["1"] }],
      ["dead_replay", { queue }],
      ["dead_purge", { queue, all: true }],
      ["dead_purge", { queue }],
      ["channels", {}],
      ["channels", { pattern: 1 }],
      ["info", {}],
      ["subscribe", { user, channel: "chat:b", data: 1, info: { a: 1 }, expire_at: 4e9 }],
      ["subscribe", { user }],
      ["unsubscribe", { user, channel: "chat:b", unsubscribe: { code: 2000, reason: "why" } }],
      ["unsubscribe", { user }],
      ["refresh", { user, expire_at: 4e9 }],
      ["refresh", { user, expired: "yes" }],
      ["disconnect", { user, whitelist: ["x"], disconnect: { code: 4000, reason: "why" } }],
      ["disconnect", { disconnect: { code: 1 } }],
    ];
    const seen = new Set<string>();
    for (const [method, request] of calls) {
      const { status, body } = await api.call(method, request);
      const { post } = document.paths[`/api/${method}`] ?? {};
      assert.ok(post);
      const failed = "error" in body;
      seen.add(`${method} ${failed ? "failed" : "done"}`);
      if (!failed) mustFit(schemaIn(post.requestBody.content), request, `the request of ${method}`);
      mustFit(schemaIn(post.responses[status]?.content), body, `the answer of ${method}`);
    }
    for (const { method } of ROUTES) {
      assert.ok(seen.has(`${method} done`), `${method} never succeeded`);
      if (method !== "info") assert.ok(seen.has(`${method} failed`), `${method} never failed`);
    }
  });

  test("refusals fit it as well", async () => {
    for (const [status, sent] of [
      [400, { headers: { "x-api-key": "a-key-for-the-tests-of-the-api" }, body: "{" }],
      [401, { body: "{}" }],
      [405, { method: "GET" }],
    ] as const) {
      const answer = await api.send({ path: "/api/publish", ...sent });
      assert.equal(answer.status, status);
      mustFit(schemaIn(document.paths["/api/publish"]?.post.responses[status]?.content), answer.body, String(status));
    }
  });
});
