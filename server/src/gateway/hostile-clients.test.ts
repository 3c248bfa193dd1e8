/**
 * Clients that send anything: noise, sound commands in any order, sound commands with a character changed. Whatever they do,
 * the gateway answers or closes with a code of the table, goes on serving others, and keeps nothing of them.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as fc from "fast-check";
import { CLOSES, decodeReplies, type Reply } from "@todoku/protocol";
import { configSchema } from "../config.ts";
import { ManualClock, settle } from "../manual-clock.ts";
import { Todoku } from "../server.ts";
import type { Payload, Socket, SocketEvents } from "./socket.ts";

const FRAMES = 25;
/** So many in every run, two commands each: a quarter of a million; `TODOKU_HOSTILE_FRAMES=1000000` for a longer one. */
const SESSIONS = Number(process.env["TODOKU_HOSTILE_FRAMES"] ?? 125_000) / FRAMES;
const CODES: ReadonlySet<number> = new Set(Object.values(CLOSES).map(({ code }) => code));

const golden = readFileSync(path.join(import.meta.dirname, "../../../protocol/golden/client-frames.jsonl"), "utf8")
  .trimEnd()
  .split("\n")
  .map((line) => (JSON.parse(line) as { frame: string }).frame);

/** Any UTF-16 unit, lone surrogates too. */
const unit = fc.nat(0xffff).map((code) => String.fromCharCode(code));
const channel = fc.constantFrom(
  ...Array.from({ length: 12 }, () => "a"),
  "b",
  "b",
  "live:1",
  "dead:1",
  "__proto__",
  "nowhere:1",
  "$x",
);
/** `@…` stands for what was last heard of on the connection. */
const offset = fc.constantFrom("@offset", "@offset", "@offset", "@before", "@before", 0, 1, 2 ** 53 - 1);
const epoch = fc.constantFrom("@epoch", "@epoch", "@epoch", "@epoch", "@epoch", "@epoch", "another", "");
const position = fc.record({ offset, epoch });
const data = fc.jsonValue({ maxDepth: 2 });
const subscribe = fc.record(
  {
    channel,
    start: fc.oneof(fc.constantFrom("new", "earliest"), position),
    recover: fc.boolean(),
    offset,
    epoch,
    flag: fc.nat(3),
    durable: fc.constantFrom("phone", "tablet"),
    ack: fc.boolean(),
    in_flight: fc.integer({ min: 1, max: 3 }),
    join_leave: fc.boolean(),
  },
  { requiredKeys: ["channel"] },
);
const history = fc.record(
  { channel, limit: fc.integer({ min: -2, max: 3 }), since: position, reverse: fc.boolean() },
  { requiredKeys: ["channel"] },
);
const publish = fc.record(
  { channel, data, key: fc.constantFrom("k1", "k2", "k3"), key_age: fc.constantFrom(0, 1000, 1000, 600_000) },
  { requiredKeys: ["channel", "data"] },
);
const receipt = fc.record({ channel, offset, epoch });

const command = fc.oneof(
  weighed(8, "subscribe", subscribe),
  weighed(2, "unsubscribe", fc.record({ channel, forget: fc.boolean() })),
  weighed(8, "publish", publish),
  weighed(2, "history", history),
  weighed(8, "ack", receipt),
  weighed(8, "nack", receipt),
  weighed(1, "presence", fc.record({ channel })),
  weighed(1, "presence_stats", fc.record({ channel })),
  weighed(1, "rpc", fc.record({ method: fc.string(), data })),
  weighed(1, "send", fc.record({ data })),
  weighed(1, "refresh", fc.record({ token: fc.constantFrom("", "a.b.c") })),
  weighed(1, "sub_refresh", fc.record({ channel, token: fc.constant("a.b.c") })),
);
const sound = fc.array(command, { minLength: 1, maxLength: 3 }).map((commands) => commands.join("\n"));
const changed = fc
  .tuple(sound, fc.nat(), fc.string({ unit, maxLength: 2 }), fc.nat(2))
  .map(([text, at, instead, removed]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + instead + text.slice(place + removed);
  });
const noise = fc.oneof(fc.string({ unit }), fc.json({ stringUnit: unit }));
const frame = fc.oneof(
  { weight: 60, arbitrary: sound },
  { weight: 1, arbitrary: fc.constantFrom(...golden) },
  { weight: 1, arbitrary: changed },
  { weight: 1, arbitrary: noise },
  { weight: 1, arbitrary: fc.constant("{}") },
);
const session = fc.record({
  connect: fc.constantFrom('{"id":99,"connect":{}}', '{"id":99,"connect":{"todoku":{"version":1}}}'),
  polite: fc.oneof({ weight: 30, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
  frames: fc.array(frame, { minLength: FRAMES, maxLength: FRAMES }),
  leaves: fc.boolean(),
});

test("E5, E6 whatever clients send is answered or closed with a code of the table, disturbs nobody, and leaves nothing behind", async () => {
  const anyone = {
    backbone: "memory",
    retention: { messages: 5 },
    subscribe: "any",
    publish: "any",
    history: "any",
    presence: "any",
  };
  const rates = { commands: "off", publish: "off", subscribe: "off", user: "off" };
  const config = configSchema.parse({
    auth: { insecure: true },
    log: { level: "silent" },
    client: { rate: rates, channels: 4 },
    backbones: { memory: { type: "memory" } },
    namespaces: {
      "": { ...anyone, join_leave: true, redelivery: { max_attempts: 2, dead_letters: "dead:1" } },
      dead: anyone,
      live: { ...anyone, retention: undefined },
    },
  });
  const clock = new ManualClock();
  const todoku = await Todoku.open(config, { clock });
  const open = (): Peer => new Peer((socket) => todoku.gateway.accept(socket, { address: "127.0.0.1" }));
  const bystander = open();
  bystander.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"bystander"}}');
  await settle();
  assert.equal(bystander.received.length, 2);

  const lingering: Peer[] = [];
  let sessions = 0;
  let heapEarly = 0;
  await fc.assert(
    fc.asyncProperty(session, async ({ connect, polite, frames, leaves }) => {
      const peers: Peer[] = [];
      for (const [i, one] of frames.entries()) {
        // Whoever was closed comes again.
        if (peers.at(-1)?.isOver !== false) {
          peers.push(open());
          if (polite) peers.at(-1)?.send(connect);
        }
        peers.at(-1)?.send(one);
        // Some of what is sent builds on what was answered, some comes in one burst.
        if (i % 2 === 0) await settle(1);
      }
      if (leaves) peers.at(-1)?.leave();
      await settle();

      for (const { closed, received } of peers) {
        assert.ok(closed === undefined || CODES.has(closed), `closed with ${closed}`);
        const internal = received.filter(({ error }) => error?.code === 100);
        assert.deepEqual(internal, [], "no internal error");
      }
      bystander.received.length = 0;
      bystander.send('{"id":3,"publish":{"channel":"bystander","data":"still here"}}');
      await settle();
      assert.equal(bystander.received.find(({ push }) => push?.pub)?.push?.pub?.data, "still here");
      assert.ok(bystander.received.some(({ id }) => id === 3));

      lingering.push(...peers);
      if (++sessions % 20 === 0) {
        // First the delays of redelivery and a ping, then, with nobody there, the linger of the feeds.
        await clock.advance(30_000);
        for (const peer of lingering.splice(0)) peer.leave();
        await clock.advance(10_000);
      }
      assert.equal(bystander.closed, undefined);
      if (sessions === SESSIONS / 10) heapEarly = heapUsed();
    }),
    { numRuns: SESSIONS },
  );
  assert.equal(todoku.gateway.connections, 1, "only the bystander is left");
  const grown = heapUsed() - heapEarly;
  assert.ok(grown < 8 * 1024 * 1024, `the heap has grown by ${Math.round(grown / 1024)} KiB`);
  await todoku.close();
});

/** One end of a connection to the gateway. */
class Peer implements Socket {
  readonly received: Reply[] = [];
  readonly bufferedBytes = 0;
  closed: number | undefined;
  readonly #events: SocketEvents;
  #left = false;
  #epoch = "unknown";
  #offset = 0;

  get isOver(): boolean {
    return this.#left || this.closed !== undefined;
  }

  constructor(accept: (socket: Socket) => SocketEvents) {
    this.#events = accept(this);
  }

  /** Sends a frame, with the last epoch and offset that were heard of. */
  send(...args: [string] | [Payload]): void {
    const [frame] = args;
    if (typeof frame === "string") {
      if (!this.isOver) this.#events.message(this.#filled(frame));
      return;
    }
    for (const reply of decodeReplies(new TextDecoder().decode(frame.bytes))) this.#receive(reply);
  }

  close(code: number): void {
    if (this.closed !== undefined) return;
    this.closed = code;
    queueMicrotask(() => this.leave());
  }

  terminate(): void {
    this.leave();
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    this.#events.closed();
  }

  #filled(frame: string): string {
    return frame
      .replaceAll("@epoch", this.#epoch)
      .replaceAll('"@offset"', String(this.#offset))
      .replaceAll('"@before"', String(this.#offset - 1));
  }

  #receive(reply: Reply): void {
    this.received.push(reply);
    const { subscribe, history, push } = reply;
    this.#epoch = subscribe?.epoch ?? history?.epoch ?? push?.gap?.epoch ?? this.#epoch;
    this.#offset = push?.pub?.offset ?? subscribe?.offset ?? this.#offset;
    if (Object.keys(reply).length === 0) queueMicrotask(() => this.send("{}"));
  }
}

function weighed(weight: number, method: string, request: fc.Arbitrary<unknown>) {
  const withoutId = ["send", "ack", "nack"].includes(method);
  const id = fc.integer({ min: withoutId ? 0 : 1, max: 20 });
  const arbitrary = fc.tuple(id, request).map(([id, one]) => JSON.stringify({ ...(id > 0 && { id }), [method]: one }));
  return { weight, arbitrary };
}

/** Bytes in use after everything unreachable was collected. */
function heapUsed(): number {
  const { Bun: bun } = globalThis as { Bun?: { gc(now: boolean): void } };
  if (bun) {
    bun.gc(true);
    return process.memoryUsage().heapUsed;
  }
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}
