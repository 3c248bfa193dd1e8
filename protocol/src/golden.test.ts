/** The golden frames: the wire as others may write it down, decoded and encoded by this package. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import {
  decodeCommands,
  decodeReplies,
  encodeCommands,
  encodePublication,
  encodePush,
  encodeReply,
  type DecodedCommand,
} from "./codec.ts";
import { TodokuError } from "./error.ts";
import type { Command, Reply } from "./frames.ts";

interface ClientFrame {
  readonly name: string;
  readonly about: readonly string[];
  readonly frame: string;
  readonly canonical?: boolean;
  readonly limits?: { readonly commands: number; readonly depth: number };
  readonly decodes?: readonly {
    readonly id?: number;
    readonly method: string;
    readonly request?: unknown;
    readonly error?: { readonly code: number; readonly message: string };
  }[];
  readonly close?: { readonly code: number; readonly reason: string };
}

interface ServerFrame {
  readonly name: string;
  readonly about: readonly string[];
  readonly frame: string;
  readonly canonical?: boolean;
  readonly decodes?: readonly Reply[];
  readonly error?: string;
}

const LIMITS = { commands: 1000, depth: 64 };
const CLIENT_FRAMES = read("client-frames") as readonly ClientFrame[];
const SERVER_FRAMES = read("server-frames") as readonly ServerFrame[];

for (const { name, frame, limits = LIMITS, decodes = [], close, canonical } of CLIENT_FRAMES) {
  test(`${name} (a client's frame)`, () => {
    if (close) {
      assert.throws(
        () => decodeCommands(frame, limits),
        (error) => error instanceof TodokuError && error.code === close.code && error.message === close.reason,
      );
      return;
    }
    assert.deepEqual(decodeCommands(frame, limits).map(asGolden), decodes);
    if (canonical === true) {
      const commands = decodes.map(({ id, method, request }) => ({
        ...(id !== undefined && { id }),
        [method]: request,
      }));
      assert.equal(encodeCommands(commands as Command[]), frame);
    }
  });
}

for (const { name, frame, decodes = [], error, canonical } of SERVER_FRAMES) {
  test(`${name} (a server's frame)`, () => {
    if (error !== undefined) {
      assert.throws(() => decodeReplies(frame), { name: "TodokuError", code: 3501, message: error });
      return;
    }
    assert.deepEqual(decodeReplies(frame), decodes);
    if (canonical === true) assert.equal(decodes.map(encode).join("\n"), frame);
  });
}

test("every golden example names the rules that it is about", () => {
  const spec = readFileSync(path.join(import.meta.dirname, "../SPEC.md"), "utf8");
  for (const { name, about } of [...CLIENT_FRAMES, ...SERVER_FRAMES]) {
    for (const rule of about) assert.ok(spec.includes(`**${rule}.**`), `${name} is about ${rule}, which is no rule`);
  }
});

/** As the server does it: publications are put together around text, everything else is one JSON object. */
function encode(reply: Reply): string {
  const { channel, pub } = reply.push ?? {};
  if (reply.push === undefined) return encodeReply(reply);
  if (channel === undefined || pub === undefined) return encodePush(reply.push);
  const { data, ...fields } = pub;
  return encodePublication(channel, JSON.stringify(data), fields);
}

function asGolden(command: DecodedCommand) {
  const { id, ...rest } = command;
  const error = "error" in rest ? { error: { code: rest.error.code, message: rest.error.message } } : {};
  return { ...(id !== undefined && { id }), ...rest, ...error };
}

function read(name: string): readonly unknown[] {
  const text = readFileSync(path.join(import.meta.dirname, `../golden/${name}.jsonl`), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
}
