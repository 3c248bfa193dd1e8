/** What holds for every text; the examples are in golden.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  decodeCommands,
  decodeReplies,
  encodeCommands,
  encodePublication,
  encodePush,
  encodeReply,
  publicationText,
} from "./codec.ts";
import { TodokuError } from "./error.ts";
import type { Json, Method, Requests } from "./frames.ts";

const LIMITS = { commands: 1000, depth: 64 };
const RUNS = { numRuns: 3000 };

/** Any UTF-16 unit, lone surrogates too. */
const unit = fc.nat(0xffff).map((code) => String.fromCharCode(code));
/** JSON as it comes back from a wire: -0 is written as 0. */
const json = fc.jsonValue({ depthSize: "medium", stringUnit: unit }).map((value) => reparsed(value) as Json);
const channel = fc.string({ unit: fc.constantFrom(..."abz09_-.".split("")), minLength: 1, maxLength: 20 });
const whole = fc.maxSafeNat();
const words = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((text) => text.isWellFormed());
const position = fc.record({ epoch: words, offset: whole });
const tags = fc.dictionary(words, words, { maxKeys: 16 });
const optional = { requiredKeys: [] };

const requests: { readonly [M in Method]: fc.Arbitrary<Requests[M]> } = {
  connect: fc.record(
    { token: words, data: json, name: words, todoku: fc.record({ version: fc.integer({ min: 1, max: 9 }) }) },
    optional,
  ),
  subscribe: fc.record(
    {
      channel,
      token: words,
      data: json,
      recover: fc.boolean(),
      offset: whole,
      epoch: words,
      start: fc.oneof(fc.constantFrom("new" as const, "earliest" as const), position),
      durable: words,
      ack: fc.boolean(),
      in_flight: fc.integer({ min: 1, max: 10_000 }),
    },
    { requiredKeys: ["channel"] },
  ),
  unsubscribe: fc.record({ channel, forget: fc.boolean() }, { requiredKeys: ["channel"] }),
  publish: fc.record({ channel, data: json, key: words, key_age: whole, tags }, { requiredKeys: ["channel", "data"] }),
  history: fc.record(
    {
      channel,
      limit: fc.integer({ min: -1 }),
      since: fc.record({ epoch: words, offset: whole }, optional),
      reverse: fc.boolean(),
    },
    { requiredKeys: ["channel"] },
  ),
  presence: fc.record({ channel }),
  presence_stats: fc.record({ channel }),
  rpc: fc.record({ method: words, data: json }, optional),
  refresh: fc.record({ token: words }),
  sub_refresh: fc.record({ channel, token: words }),
  send: fc.record({ data: json }),
  ack: fc.record({ channel, offset: whole, epoch: words }),
  nack: fc.record({ channel, offset: whole, epoch: words }),
  consume: fc.record(
    {
      queue: channel,
      group: words,
      in_flight: fc.integer({ min: 1, max: 10_000 }),
      lease_ms: fc.integer({ min: 1000, max: 86_400_000 }),
      token: words,
      resume: fc.array(words),
    },
    { requiredKeys: ["queue"] },
  ),
  unconsume: fc.record({ queue: channel, group: words }, { requiredKeys: ["queue"] }),
  done: fc.record(
    {
      queue: channel,
      group: words,
      lease: words,
      publish: fc.array(fc.record({ channel, data: json, tags }, { requiredKeys: ["channel", "data"] })),
    },
    { requiredKeys: ["queue", "lease"] },
  ),
  fail: fc.record(
    {
      queue: channel,
      group: words,
      lease: words,
      retry_in_ms: fc.nat(86_400_000),
      untried: fc.boolean(),
      reason: words,
    },
    { requiredKeys: ["queue", "lease"] },
  ),
  extend: fc.record(
    { queue: channel, group: words, lease: words, lease_ms: fc.integer({ min: 1000, max: 86_400_000 }) },
    { requiredKeys: ["queue", "lease"] },
  ),
};
const command = fc.oneof(
  ...Object.entries(requests).map(([method, request]) =>
    fc.record({ id: fc.integer({ min: 1 }), method: fc.constant(method), request: request as fc.Arbitrary<unknown> }),
  ),
);
const sound = fc.array(command, { minLength: 1, maxLength: 5 });

test("F1, F2 what the client encodes the server decodes to the same", () => {
  fc.assert(
    fc.property(sound, (commands) => {
      const frame = encodeCommands(commands.map(({ id, method, request }) => ({ id, [method]: request })));
      assert.deepEqual(decodeCommands(frame, LIMITS), reparsed(commands));
    }),
    RUNS,
  );
});

test("F5 any text is decoded or refused with 3501, and nothing else is thrown", () => {
  const line = fc.oneof(fc.string({ unit }), fc.json({ stringUnit: unit }), command.map(asText));
  const frames = fc.array(line, { maxLength: 4 }).map((lines) => lines.join("\n"));
  fc.assert(
    fc.property(frames, (text) => onlyRefuses(() => decodeCommands(text, LIMITS))),
    RUNS,
  );
  fc.assert(
    fc.property(frames, (text) => onlyRefuses(() => decodeReplies(text))),
    RUNS,
  );
});

test("F5, F13 a sound command with one thing in it replaced is decoded, answered 107, or refused with 3501", () => {
  const hostile = fc.oneof(json, fc.constantFrom(null, -1, 0, 1.5, 2 ** 53, "", "\ud800", [], {}, "x".repeat(20_000)));
  const names = fc.constantFrom(
    "id",
    "channel",
    "data",
    "token",
    "offset",
    "epoch",
    "start",
    "tags",
    "key",
    "__proto__",
  );
  fc.assert(
    fc.property(command, names, hostile, fc.boolean(), ({ id, method, request }, name, value, outside) => {
      const inside = outside ? request : { ...(request as object), [name]: value };
      const text = JSON.stringify({ id, [method]: inside, ...(outside && { [name]: value }) });
      onlyRefuses(() => {
        const [decoded] = decodeCommands(text, LIMITS);
        assert.ok(decoded);
        if ("error" in decoded) assert.equal(decoded.error.code, 107);
      });
    }),
    RUNS,
  );
});

test("F8 the data of a publish arrives as it was sent", () => {
  fc.assert(
    fc.property(json, (data) => {
      const [decoded] = decodeCommands(asText({ id: 1, method: "publish", request: { channel: "a", data } }), LIMITS);
      assert.ok(decoded && "request" in decoded && decoded.method === "publish");
      assert.deepEqual(decoded.request.data, data);
    }),
    RUNS,
  );
});

test("F10 a frame of a hundred thousand brackets is refused like any other that is too deep", () => {
  const deep = `{"id":1,"rpc":{"data":${"[".repeat(100_000)}${"]".repeat(100_000)}}}`;
  assert.throws(() => decodeCommands(deep, LIMITS), { code: 3501, message: "bad request: nested deeper than 64" });
});

test("F18, F19 a publication is spliced around its data as if all of it had been encoded at once", () => {
  const fields = fc.record(
    { offset: whole, id: words, time: whole, prev: whole, tags, redelivered: fc.constant(true) },
    optional,
  );
  fc.assert(
    fc.property(channel, json, fields, (name, data, rest) => {
      assert.equal(publicationText(JSON.stringify(data), rest), JSON.stringify({ data, ...rest }));
      const push = encodePublication(name, JSON.stringify(data), rest);
      assert.equal(push, encodePush({ channel: name, pub: { data, ...rest } }));
      assert.deepEqual(decodeReplies(push), [{ push: reparsed({ channel: name, pub: { data, ...rest } }) }]);
    }),
    RUNS,
  );
});

test("F1, F17 replies in one frame are decoded to the same", () => {
  const reply = fc.record({ id: fc.integer({ min: 1 }), rpc: fc.record({ data: json }) });
  fc.assert(
    fc.property(fc.array(reply, { maxLength: 5 }), (replies) => {
      assert.deepEqual(decodeReplies(replies.map(encodeReply).join("\n")), reparsed(replies));
    }),
  );
});

test("F17, F18 whatever stands where a push has its channel and its publication, it is read as JSON reads the whole", () => {
  const name = fc.oneof(
    fc.string({ unit }).map((text) => JSON.stringify(text).slice(1, -1)),
    fc.constantFrom("a\\u0062", "a\tb", 'a","pub":{"data":1},"b":"', "\\", '"'),
  );
  const text = fc.oneof(fc.json({ stringUnit: unit }), fc.string());
  const pub = fc.oneof(
    text,
    text.map((data) => `{"data":${data},"offset":1}`),
    fc.constantFrom(
      '{"data":1},"gap":{"from":1}',
      '1,"pub":2',
      '{"data":1}}},{"push":{"pub":{}',
      '{"data":"}}',
      "{",
      "",
    ),
  );
  const end = fc.constantFrom("}}", "}} ", "}", "}}}", ',"id":1}}', '},"id":1}');
  fc.assert(
    fc.property(name, pub, end, (name, pub, end) => {
      const line = `{"push":{"channel":"${name}","pub":${pub}${end}`;
      let expected: unknown;
      try {
        expected = line.split("\n").flatMap((one) => (one === "" ? [] : [JSON.parse(one)]));
      } catch {
        assert.throws(() => decodeReplies(line), { code: 3501 });
        return;
      }
      assert.deepEqual(decodeReplies(line), expected);
    }),
    RUNS,
  );
});

test("F1, F17, F18 each line of a frame is read as JSON reads it, whatever stands before and behind it", () => {
  const pushed = fc.tuple(channel, json).map(([name, data]) => encodePublication(name, JSON.stringify(data), {}));
  const answer = fc.integer({ min: 1 }).map((id) => encodeReply({ id }));
  const deceptive = '{"push":{"channel":"a","pub":';
  const other = fc.constantFrom(
    "",
    "{}",
    deceptive,
    `${deceptive}}}`,
    `${deceptive}1}}`,
    `${deceptive}1]]`,
    `${deceptive}{}}} `,
    "}}",
    "1}}",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(pushed, answer, other), { maxLength: 6 }), (lines) => {
      const frame = lines.join("\n");
      const told = lines.filter((line) => line !== "");
      if (told.every(isJson))
        assert.deepEqual(
          decodeReplies(frame),
          told.map((line) => JSON.parse(line)),
        );
      else assert.throws(() => decodeReplies(frame), { code: 3501 });
    }),
    RUNS,
  );
});

test("E6 a refusal never repeats more of the frame than a short name", () => {
  const secret = "s3cret".repeat(20);
  const frames = [
    `{"id":1,"connect":{"token":["${secret}"]}}`,
    `{"id":1,"publish":{"channel":"${secret} ","data":1}}`,
    `{"id":1,"publish":{"channel":"a","data":1,"tags":{"${secret}":1}}}`,
    `{"id":1,"${secret}":{}}`,
    secret,
  ];
  for (const frame of frames) {
    const message = messageOf(() => decodeCommands(frame, LIMITS));
    assert.ok(message.startsWith("bad request: "), message);
    assert.ok(!message.includes("s3cret".repeat(6)), message);
  }
});

function asText({ id, method, request }: { id: number; method: string; request: unknown }): string {
  return JSON.stringify({ id, [method]: request });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The same without the null prototypes that fast-check mixes in. */
function reparsed(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function onlyRefuses(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    assert.ok(error instanceof TodokuError, String(error));
    assert.equal(error.code, 3501);
  }
}

/** The words of the refusal, thrown or in the first command. */
function messageOf(decode: () => ReturnType<typeof decodeCommands>): string {
  try {
    const [decoded] = decode();
    return decoded && "error" in decoded ? decoded.error.message : "";
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
}
