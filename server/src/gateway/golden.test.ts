/** The golden frames of a client, each sent to a gateway: it answers and closes as they say, whatever it does with them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { decodeReplies, type Reply } from "@todoku/protocol";
import { configSchema } from "../config.ts";
import { ManualClock, settle } from "../manual-clock.ts";
import { Todoku } from "../server.ts";
import type { Payload, Socket } from "./socket.ts";

interface Example {
  readonly name: string;
  readonly frame: string;
  readonly limits?: { readonly commands: number; readonly depth: number };
  readonly decodes?: readonly { readonly id?: number; readonly method: string; readonly error?: object }[];
  readonly close?: { readonly code: number; readonly reason: string };
}

const file = path.join(import.meta.dirname, "../../../protocol/golden/client-frames.jsonl");
const examples = readFileSync(file, "utf8").trimEnd().split("\n");
const opened: Todoku[] = [];

after(() => Promise.all(opened.map((todoku) => todoku.close())));

for (const example of examples) {
  const { name, frame, limits, decodes = [], close } = JSON.parse(example) as Example;
  test(`${name} (sent to a gateway)`, async () => {
    const todoku = await open(limits);
    const socket = new RecordedSocket();
    const events = todoku.gateway.accept(socket, { address: "127.0.0.1" });
    const first = decodes[0]?.method === "connect";
    if (!first) {
      events.message('{"id":987654,"connect":{}}');
      await settle();
      socket.replies.length = 0;
    }
    events.message(frame);
    await settle(20);

    if (close) {
      assert.deepEqual(socket.closed, close);
      assert.deepEqual(socket.replies, [], "no command of the frame is run");
      return;
    }
    const failedConnect = first && decodes[0]?.error !== undefined;
    assert.deepEqual(socket.closed, failedConnect ? { code: 3503, reason: "do not reconnect" } : undefined);
    const answers = new Map(socket.replies.filter(({ id }) => id !== undefined).map((reply) => [reply.id, reply]));
    const asked = decodes.filter(({ id }) => id !== undefined);
    assert.equal(answers.size, asked.length, "every command with an id has one answer");
    for (const { id, error } of asked) {
      if (error) assert.deepEqual(answers.get(id), { id, error });
      else assert.notEqual(answers.get(id)?.error?.code, 100, "an internal error");
    }
  });
}

async function open({ commands, depth } = { commands: 1000, depth: 64 }): Promise<Todoku> {
  const anyone = {
    backbone: "memory",
    retention: {},
    subscribe: "any",
    publish: "any",
    history: "any",
    presence: "any",
  };
  const config = configSchema.parse({
    auth: { insecure: true },
    log: { level: "silent" },
    client: { frame_commands: commands, json_depth: depth },
    backbones: { memory: { type: "memory" } },
    namespaces: { "": anyone, chat: anyone, ticker: { ...anyone, retention: undefined } },
  });
  const todoku = await Todoku.open(config, { clock: new ManualClock() });
  opened.push(todoku);
  return todoku;
}

/** The client's end of a connection, which only listens. */
class RecordedSocket implements Socket {
  readonly replies: Reply[] = [];
  readonly bufferedBytes = 0;
  closed: { readonly code: number; readonly reason: string } | undefined;

  send({ bytes: frame }: Payload): void {
    this.replies.push(...decodeReplies(new TextDecoder().decode(frame)));
  }

  close(code: number, reason: string): void {
    this.closed ??= { code, reason };
  }

  terminate(): void {}
}
