/** The golden frames of a server, each sent to a client that is subscribed to the channel "a". */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import type { Json, Reply } from "@todoku/protocol";
import { Todoku } from "./index.ts";
import type { WebSocketLike } from "./web-socket.ts";

interface Example {
  readonly name: string;
  readonly frame: string;
  readonly decodes?: readonly Reply[];
  readonly error?: string;
}

/** What the application was told, in the order of the telling. */
type Told = readonly [what: "message" | "gap" | "join" | "leave" | "to the connection", value: unknown];

/** A WebSocket whose other end is the test. */
class ScriptedSocket implements WebSocketLike {
  readonly sent: string[] = [];
  closed = false;
  readonly #listeners = new Map<string, (event: never) => void>();

  addEventListener(type: string, listener: (event: never) => void): void {
    this.#listeners.set(type, listener);
  }

  send(text: string): void {
    this.sent.push(text);
    // So that closing the client need not wait for an answer.
    const { id, unsubscribe } = JSON.parse(text.split("\n")[0] ?? "") as { id?: number; unsubscribe?: object };
    if (unsubscribe) queueMicrotask(() => this.receive(JSON.stringify({ id, unsubscribe: {} })));
  }

  close(code = 1000): void {
    this.closed = true;
    this.#emit("close", { code, reason: "" });
  }

  open(): void {
    this.#emit("open", {});
  }

  receive(data: string): void {
    this.#emit("message", { data });
  }

  #emit(type: string, event: Readonly<Record<string, Json>>): void {
    this.#listeners.get(type)?.(event as never);
  }
}

const file = path.join(import.meta.dirname, "../../protocol/golden/server-frames.jsonl");

for (const line of readFileSync(file, "utf8").trimEnd().split("\n")) {
  const { name, frame, decodes = [], error } = JSON.parse(line) as Example;
  test(`${name} (received by the client)`, async () => {
    const { client, sockets, told } = await subscribed(decodes);
    const [socket] = sockets;
    assert.ok(socket);
    const before = socket.sent.length;
    socket.receive(frame);
    await settle();
    if (error !== undefined) {
      assert.equal(socket.closed, true, "a peer that cannot be read is left");
    } else {
      assert.deepEqual(told, decodes.flatMap(expected));
      assert.equal(socket.closed, false);
      const pings = decodes.filter((reply) => Object.keys(reply).length === 0);
      assert.deepEqual(
        socket.sent.slice(before).flatMap((sent) => sent.split("\n").filter((one) => one === "{}")),
        pings.map(() => "{}"),
      );
    }
    await client.close();
  });
}

/** A client that stands right before the first publication of the frame. */
async function subscribed(decodes: readonly Reply[]) {
  const sockets: ScriptedSocket[] = [];
  const told: Told[] = [];
  const client = new Todoku("ws://gateway", {
    clock: { now: () => 0, after: () => () => {}, random: () => 0 },
    WebSocket: class extends ScriptedSocket {
      constructor() {
        super();
        sockets.push(this);
      }
    },
  });
  client.on("message", (data) => told.push(["to the connection", data]));
  client.on("error", () => {});
  const subscription = client.subscribe("a", (message) => void told.push(["message", message]));
  subscription.on("gap", (gap) => told.push(["gap", gap]));
  subscription.on("join", (info) => told.push(["join", info]));
  subscription.on("leave", (info) => told.push(["leave", info]));
  subscription.on("error", () => {});
  await settle();
  const [socket] = sockets;
  socket?.open();
  await settle();
  const [connect, subscribe] = (socket?.sent.shift() ?? "").split("\n").map((one) => JSON.parse(one) as Reply);
  assert.ok(connect?.id !== undefined && subscribe?.id !== undefined, "connect and subscribe travel in one frame");
  const connected = { client: "c", version: "1", ping: 25, pong: true, todoku: { version: 1, session: "c" } };
  const before = decodes.flatMap(({ push }) => (push?.pub?.offset === undefined ? [] : [push.pub.offset - 1]));
  const hasLog = decodes.every(({ push }) => push?.pub === undefined || push.pub.offset !== undefined);
  const begins = { recoverable: true, positioned: true, epoch: "gWuY", offset: before[0] ?? 0 };
  socket?.receive(
    `${JSON.stringify({ id: connect.id, connect: connected })}\n${JSON.stringify({ id: subscribe.id, subscribe: hasLog ? begins : {} })}`,
  );
  await subscription.ready;
  return { client, sockets, told };
}

/** What a reply tells the application. */
function expected({ push }: Reply): readonly Told[] {
  if (push?.message) return [["to the connection", push.message.data]];
  if (push?.channel !== "a") return [];
  const { channel, pub, gap, join, leave } = push;
  if (pub) {
    const { redelivered = false, offset } = pub;
    return [["message", { ...pub, channel, redelivered, ...(offset !== undefined && { epoch: "gWuY" }) }]];
  }
  if (gap) return [["gap", { ...gap, channel }]];
  if (join) return [["join", join.info]];
  if (leave) return [["leave", leave.info]];
  return [];
}

/** Lets promises run until nothing new comes of them. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
}
