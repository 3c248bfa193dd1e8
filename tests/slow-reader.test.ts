/**
 * A reader that stops reading costs no more than its queue's bound, disturbs nobody, and receives everything when it reads
 * again (or, at-most-once, is told how much it has missed).
 *
 * `TODOKU_LONG=1` runs the real minute at 5,000 messages per second; otherwise the same happens as fast as possible.
 */
import assert from "node:assert/strict";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as after } from "node:timers/promises";
import { RawClient } from "./raw-client.ts";
import { ServerProcess } from "./server-process.ts";
import type { ConfigInput } from "../server/src/config.ts";

const LONG = process.env["TODOKU_LONG"] === "1";
const MESSAGES = LONG ? 300_000 : 30_000;
/** Of a message. Together more than the buffers of the system take on both sides, about 10 MB. */
const BYTES = 1000;
/** Messages that are published at once: in one frame, within `client.frame_bytes`. */
const BATCH = 200;
const PER_SECOND = 5000;

/** A third of what is published must not be found in the server's memory. */
const MESSAGES_IN_MEMORY = 10_000;
const COLLECTOR = path.join(import.meta.dirname, "collect-on-signal.ts");

const QUEUE_BYTES = 1024 * 1024;
const MESSAGE_BYTES = 64 * 1024;

const open = { subscribe: "any", publish: "any" } as const;
const CONFIG: ConfigInput = {
  auth: { insecure: true },
  client: {
    queue_bytes: "1MiB",
    message_bytes: "64KiB",
    // By default a reader that does not even answer pings is gone after 33 s, and then costs nothing at all.
    ping: "10m",
    rate: { publish: "off", commands: "off" },
  },
  backbones: { local: { type: "embedded", path: "data" } },
  namespaces: {
    kept: { ...open, backbone: "local", delivery: "at-least-once", retention: { messages: 2 * MESSAGES } },
    lost: { ...open, backbone: "local", delivery: "at-most-once" },
  },
};

interface Push {
  readonly push?: {
    readonly pub?: { readonly offset?: number; readonly data: { readonly n: number } };
    readonly gap?: { readonly reason: string; readonly to: number };
  };
}

/** A subscriber that can stop reading. */
class Reader {
  readonly numbers: number[] = [];
  dropped = 0;
  readonly #client: RawClient;
  #enough: (() => void) | undefined;
  #target = Number.POSITIVE_INFINITY;

  private constructor(client: RawClient) {
    this.#client = client;
  }

  static async subscribe(t: TestContext, port: number, channel: string): Promise<Reader> {
    const client = await RawClient.connect(port);
    t.after(() => client.terminate());
    const reader = new Reader(client);
    client.send({ id: 2, subscribe: { channel } });
    await client.next();
    client.onText = (payload) => reader.#take(payload.toString());
    return reader;
  }

  stopReading(): void {
    this.#client.pause();
  }

  readAgain(): void {
    this.#client.resume();
  }

  /** Resolves when so many messages were received, or told as dropped. */
  has(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#target = count;
      this.#enough = resolve;
      this.#look();
    });
  }

  #take(text: string): void {
    for (const line of text.split("\n")) {
      if (line === "{}") {
        this.#client.send({});
        continue;
      }
      const { pub, gap } = (JSON.parse(line) as Push).push ?? {};
      if (pub) this.numbers.push(pub.data.n);
      if (gap) this.dropped += gap.to;
    }
    this.#look();
  }

  #look(): void {
    if (this.numbers.length + this.dropped >= this.#target) this.#enough?.();
  }
}

/** Publishes numbered messages, a batch at a time, and calls back after each. */
async function publishAll(
  t: TestContext,
  port: number,
  channel: string,
  afterBatch: () => Promise<void>,
): Promise<void> {
  const client = await RawClient.connect(port);
  t.after(() => client.terminate());
  const filling = "x".repeat(BYTES);
  let missing = 0;
  let batch = Promise.withResolvers<void>();
  client.onText = (payload) => {
    for (const line of payload.toString().split("\n")) {
      if (line === "{}") client.send({});
      else if (line.includes('"error"')) batch.reject(new Error(line));
      else if (--missing === 0) batch.resolve();
    }
  };
  void client.closed.then(({ code }) => batch.reject(new Error(`the publisher was closed with ${code}`)));
  const begun = performance.now();
  for (let n = 0; n < MESSAGES; n += BATCH) {
    const commands = Array.from({ length: BATCH }, (_, i) => ({
      id: 2 + n + i,
      publish: { channel, data: { n: n + i + 1, filling } },
    }));
    batch = Promise.withResolvers<void>();
    missing = BATCH;
    client.send(...commands);
    await batch.promise;
    await afterBatch();
    // The load itself, not a wait: messages come at their rate, as in the field.
    if (LONG) await after(Math.max(0, begun + ((n + BATCH) / PER_SECOND) * 1000 - performance.now()));
  }
}

/** Bytes that the server holds on to, its garbage collected. */
async function memoryOf(server: ServerProcess): Promise<number> {
  const collected = server.program.speaks();
  server.program.signal("SIGUSR2");
  await collected;
  return (await server.metric("nodejs_heap_size_used_bytes")) + (await server.metric("nodejs_external_memory_bytes"));
}

const numbered = Array.from({ length: MESSAGES }, (_, i) => i + 1);

for (const channel of ["kept:1", "lost:1"]) {
  const promise = channel === "kept:1" ? "receives everything later" : "is told how many messages it missed";
  test(
    `a reader that stops reading costs no more than its bound, and ${promise}`,
    { timeout: LONG ? 300_000 : 120_000 },
    async (t) => {
      await using server = await ServerProcess.start(CONFIG, ["--expose-gc", "--import", COLLECTOR]);
      const slow = await Reader.subscribe(t, server.port, channel);
      const other = await Reader.subscribe(t, server.port, channel);
      slow.stopReading();

      const memory = await memoryOf(server);
      let mostQueued = 0;
      let batches = 0;
      await publishAll(t, server.port, channel, async () => {
        if (batches++ % 10 === 0) mostQueued = Math.max(mostQueued, await server.metric("todoku_queued_bytes_max"));
      });
      const grown = (await memoryOf(server)) - memory;
      t.diagnostic(
        `${MESSAGES} messages of ${BYTES} bytes: at most ${mostQueued} bytes queued for a connection; ` +
          `the server holds ${(grown / 1e6).toFixed(1)} MB more`,
      );
      assert.ok(mostQueued > QUEUE_BYTES / 2, `the queue must have filled, and held ${mostQueued} bytes at most`);
      assert.ok(mostQueued <= QUEUE_BYTES + MESSAGE_BYTES, `${mostQueued} bytes were queued`);
      assert.ok(grown < MESSAGES_IN_MEMORY * BYTES, `the server holds ${grown} bytes more`);

      // The one that stopped has still not read anything: the other did not wait for it.
      await other.has(MESSAGES);
      assert.deepEqual(other.numbers, numbered);
      assert.equal(slow.numbers.length, 0);

      slow.readAgain();
      await slow.has(MESSAGES);
      if (channel === "kept:1") {
        assert.deepEqual(slow.numbers, numbered);
        assert.ok((await server.metric("todoku_catch_ups_total", { reason: "slow" })) > 0);
      } else {
        assert.ok(slow.dropped > 0);
        assert.equal(slow.numbers.length + slow.dropped, MESSAGES);
        assert.deepEqual(
          slow.numbers,
          slow.numbers.toSorted((a, b) => a - b),
        );
        assert.equal(await server.metric("todoku_drops_total"), slow.dropped);
      }
    },
  );
}
