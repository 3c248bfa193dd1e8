/** The reader against the rules of RFC 6455, case by case, and against the package `ws` on whatever fast-check comes up with. */
import assert from "node:assert/strict";
import type { Writable } from "node:stream";
import { test } from "node:test";
import * as fc from "fast-check";
import * as ws from "ws";
import { FrameReader } from "./frame-reader.ts";

const withoutWs = "Bun" in globalThis && "Bun's own ws has no Receiver to compare with";

const LIMIT = 300;
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0x0, 0x1, 0x2, 0x8, 0x9, 0xa];

interface FrameShape {
  readonly opcode: number;
  readonly payload?: Uint8Array | string;
  readonly final?: boolean;
  readonly reserved?: number;
  readonly masked?: boolean;
  readonly key?: number;
  /** How the length is written; default: as short as can be. */
  readonly lengthBytes?: 0 | 2 | 8;
}

/** A client's frame, right or wrong. */
function frame({
  opcode,
  payload = "",
  final = true,
  reserved = 0,
  masked = true,
  key = 0x37fa213d,
  lengthBytes,
}: FrameShape): Buffer {
  const data = Buffer.from(payload);
  const bytes = lengthBytes ?? (data.length < 126 ? 0 : data.length < 65_536 ? 2 : 8);
  const head = Buffer.alloc(2 + bytes + (masked ? 4 : 0));
  head[0] = (final ? 0x80 : 0) | (reserved << 4) | opcode;
  head[1] = (masked ? 0x80 : 0) | (bytes === 0 ? data.length : bytes === 2 ? 126 : 127);
  if (bytes === 2) head.writeUInt16BE(data.length, 2);
  if (bytes === 8) head.writeBigUInt64BE(BigInt(data.length), 2);
  if (masked) {
    head.writeUInt32BE(key, head.length - 4);
    for (let i = 0; i < data.length; i++) data[i] = (data[i] ?? 0) ^ (head[head.length - 4 + (i & 3)] ?? 0);
  }
  return Buffer.concat([head, data]);
}

function closing(code: number, reason = ""): FrameShape {
  return { opcode: CLOSE, payload: Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]) };
}

/** What was told, one line for each. */
function read(pieces: readonly Uint8Array[], limit = LIMIT): string[] {
  const told: string[] = [];
  const reader = new FrameReader(
    {
      text: (text) => told.push(`text ${text}`),
      binary: () => told.push("binary"),
      ping: (payload) => told.push(`ping ${hex(payload)}`),
      closing: (payload) => told.push(`closing ${hex(payload)}`),
      failed: (code) => told.push(`failed ${code}`),
    },
    limit,
  );
  for (const piece of pieces) reader.read(Buffer.from(piece));
  return told;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

const CASES: readonly (readonly [string, readonly FrameShape[], readonly string[]])[] = [
  ["an empty text", [{ opcode: TEXT }], ["text "]],
  ["125 bytes", [{ opcode: TEXT, payload: "x".repeat(125) }], [`text ${"x".repeat(125)}`]],
  ["126 bytes", [{ opcode: TEXT, payload: "x".repeat(126) }], [`text ${"x".repeat(126)}`]],
  ["as much as the limit", [{ opcode: TEXT, payload: "x".repeat(LIMIT) }], [`text ${"x".repeat(LIMIT)}`]],
  ["more than the limit", [{ opcode: TEXT, payload: "x".repeat(LIMIT + 1) }], ["failed 1009"]],
  ["64 bits for a small length", [{ opcode: TEXT, payload: "a", lengthBytes: 8 }], ["text a"]],
  ["a mask of zeros", [{ opcode: TEXT, payload: "abc", key: 0 }], ["text abc"]],
  ["no mask", [{ opcode: TEXT, payload: "a", masked: false }], ["failed 1002"]],
  ["nothing after a failure", [{ opcode: TEXT, masked: false }, { opcode: TEXT }], ["failed 1002"]],
  ["binary", [{ opcode: BINARY, payload: "a" }], ["binary"]],
  [
    "two in a row",
    [
      { opcode: TEXT, payload: "a" },
      { opcode: TEXT, payload: "b" },
    ],
    ["text a", "text b"],
  ],
  ["a ping", [{ opcode: PING, payload: "a" }], ["ping 61"]],
  ["a ping of 125 bytes", [{ opcode: PING, payload: "a".repeat(125) }], [`ping ${"61".repeat(125)}`]],
  ["a ping of 126 bytes", [{ opcode: PING, payload: "a".repeat(126) }], ["failed 1002"]],
  ["a ping whose length takes 16 bits", [{ opcode: PING, payload: "a", lengthBytes: 2 }], ["failed 1002"]],
  ["a fragment of a ping", [{ opcode: PING, final: false }], ["failed 1002"]],
  [
    "a pong nobody asked for",
    [
      { opcode: PONG, payload: "a" },
      { opcode: TEXT, payload: "b" },
    ],
    ["text b"],
  ],
  ...[1, 2, 4, 7].map((reserved): (typeof CASES)[number] => [
    `reserved bits ${reserved}`,
    [{ opcode: TEXT, reserved }],
    ["failed 1002"],
  ]),
  ...[3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf].map((opcode): (typeof CASES)[number] => [
    `opcode ${opcode}`,
    [{ opcode }],
    ["failed 1002"],
  ]),
  [
    "fragments, with a ping between",
    [
      { opcode: TEXT, payload: "a", final: false },
      { opcode: PING, payload: "p" },
      { opcode: CONTINUATION, final: false },
      { opcode: CONTINUATION, payload: "b" },
      { opcode: TEXT, payload: "c" },
    ],
    ["ping 70", "text ab", "text c"],
  ],
  [
    "binary fragments",
    [{ opcode: BINARY, payload: "a", final: false }, { opcode: CONTINUATION, payload: "b" }, { opcode: TEXT }],
    ["binary", "text "],
  ],
  [
    "fragments that are together more than the limit",
    [
      { opcode: TEXT, payload: "x".repeat(LIMIT), final: false },
      { opcode: CONTINUATION, payload: "x" },
    ],
    ["failed 1009"],
  ],
  ["a continuation of nothing", [{ opcode: CONTINUATION, payload: "a" }], ["failed 1002"]],
  ["a text within a text", [{ opcode: TEXT, final: false }, { opcode: TEXT }], ["failed 1002"]],
  [
    "a continuation after the last",
    [{ opcode: TEXT, final: false }, { opcode: CONTINUATION }, { opcode: CONTINUATION }],
    ["text ", "failed 1002"],
  ],
  [
    "what is not UTF-8",
    [{ opcode: TEXT, payload: new Uint8Array([0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xed, 0xa0, 0x80]) }],
    ["failed 1007"],
  ],
  ["an overlong character", [{ opcode: TEXT, payload: new Uint8Array([0xc0, 0xaf]) }], ["failed 1007"]],
  ["half a character", [{ opcode: TEXT, payload: new Uint8Array([0xe2, 0x82]) }], ["failed 1007"]],
  [
    "a character over two fragments",
    [
      { opcode: TEXT, payload: new Uint8Array([0xe2, 0x82]), final: false },
      { opcode: CONTINUATION, payload: new Uint8Array([0xac]) },
    ],
    ["text €"],
  ],
  ["a close without a code", [{ opcode: CLOSE }, { opcode: TEXT }], ["closing "]],
  ["a close with a reason", [closing(1000, "€")], ["closing 03e8e282ac"]],
  ["a close of one byte", [{ opcode: CLOSE, payload: "a" }], ["failed 1002"]],
  ["a close whose reason is not UTF-8", [{ opcode: CLOSE, payload: new Uint8Array([3, 0xe8, 0xff]) }], ["failed 1007"]],
  ...[1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999].map((code): (typeof CASES)[number] => [
    `close code ${code}`,
    [closing(code)],
    [`closing ${code.toString(16).padStart(4, "0")}`],
  ]),
  ...[0, 999, 1004, 1005, 1006, 1015, 1100, 2000, 2999, 5000, 65_535].map((code): (typeof CASES)[number] => [
    `close code ${code}`,
    [closing(code)],
    ["failed 1002"],
  ]),
];

for (const [name, shapes, expected] of CASES) {
  test(`${name}, at once and byte by byte`, () => {
    const bytes = Buffer.concat(shapes.map((shape) => frame(shape)));
    assert.deepEqual(read([bytes]), expected);
    assert.deepEqual(read(Array.from(bytes, (byte) => new Uint8Array([byte]))), expected);
  });
}

test("a length that no memory could hold is refused before any of it comes", () => {
  const head = Buffer.from([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
  assert.deepEqual(read([head]), ["failed 1009"]);
});

test("a large message in the smallest of pieces comes whole, and soon", () => {
  const length = 256 * 1024;
  const bytes = frame({ opcode: TEXT, payload: "x".repeat(length) });
  const [text] = read(
    Array.from({ length: bytes.length }, (_, i) => bytes.subarray(i, i + 1)),
    length,
  );
  assert.equal(text?.length, "text ".length + length);
});

// ── the same as another implementation ───────────────────────────────────────

type Receiver = new (options: { isServer: boolean; maxPayload: number }) => Writable;

/** As `read`, by `ws`. */
async function readByWs(pieces: readonly Uint8Array[]): Promise<string[]> {
  const { Receiver } = ws as unknown as { Receiver: Receiver };
  const told: string[] = [];
  let over = false;
  const receiver = new Receiver({ isServer: true, maxPayload: LIMIT });
  receiver.on("message", (data: Buffer, isBinary: boolean) =>
    told.push(isBinary ? "binary" : `text ${data.toString()}`),
  );
  receiver.on("ping", (data: Buffer) => told.push(`ping ${hex(data)}`));
  receiver.on("conclude", (code: number, reason: Buffer) => {
    over = true;
    told.push(`closing ${code === 1005 ? "" : code.toString(16).padStart(4, "0") + hex(reason)}`);
  });
  receiver.on("error", () => {});
  for (const piece of pieces) {
    if (over) break;
    receiver.write(Buffer.from(piece), (error) => {
      if (!error || over) return;
      over = true;
      const status = Object.getOwnPropertySymbols(error).find(({ description }) => description === "status-code");
      told.push(`failed ${String(status && (error as unknown as Record<symbol, unknown>)[status])}`);
    });
  }
  // It tells of a failure in a later tick.
  await new Promise((resolve) => setImmediate(resolve));
  receiver.destroy();
  return told;
}

const payloads = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.uint8Array({ maxLength: 10 }),
  fc.integer({ min: 120, max: LIMIT + 3 }).map((length) => "x".repeat(length)),
);

const shapes: fc.Arbitrary<FrameShape> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      opcode: fc.constantFrom(CONTINUATION, TEXT, TEXT, BINARY, PING, PONG),
      payload: payloads,
      final: fc.boolean(),
      key: fc.integer({ min: 0, max: 0xffffffff }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.integer({ min: 990, max: 5010 }), fc.string({ unit: "binary", maxLength: 10 }))
      .map(([code, reason]) => closing(code, reason)),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      opcode: fc.integer({ min: 0, max: 15 }),
      payload: payloads,
      reserved: fc.integer({ min: 0, max: 7 }),
      masked: fc.boolean(),
    }),
  },
);

/** Whole messages: in fragments, with pings between them. */
const conversations: fc.Arbitrary<FrameShape[]> = fc
  .array(
    fc.record({
      opcode: fc.constantFrom(TEXT, BINARY),
      fragments: fc.array(fc.string({ unit: "grapheme", maxLength: 20 }), { minLength: 1, maxLength: 4 }),
      ping: fc.option(fc.string({ maxLength: 5 }), { nil: undefined }),
    }),
  )
  .map((messages) =>
    messages.flatMap(({ opcode, fragments, ping }) =>
      fragments.flatMap((payload, i): FrameShape[] => [
        ...(ping === undefined ? [] : [{ opcode: PING, payload: ping }]),
        { opcode: i === 0 ? opcode : CONTINUATION, payload, final: i === fragments.length - 1 },
      ]),
    ),
  );

test("whatever comes, in whatever pieces, is understood as ws understands it", { skip: withoutWs }, async () => {
  const frames = fc.oneof(conversations, fc.array(shapes, { maxLength: 8 }));
  const spoilt = fc.option(fc.record({ at: fc.nat(), bit: fc.integer({ min: 0, max: 7 }) }), { nil: undefined });
  await fc.assert(
    fc.asyncProperty(frames, fc.array(fc.integer({ min: 1, max: 50 })), spoilt, async (sent, cuts, flip) => {
      const bytes = Buffer.concat(sent.map((shape) => frame(shape)));
      if (flip && bytes.length > 0) {
        const at = flip.at % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << flip.bit);
      }
      const pieces: Buffer[] = [];
      let at = 0;
      for (const length of cuts) {
        pieces.push(bytes.subarray(at, at + length));
        at += length;
      }
      pieces.push(bytes.subarray(at));
      assert.deepEqual(read(pieces), await readByWs(pieces));
    }),
    { numRuns: 1000 },
  );
});
