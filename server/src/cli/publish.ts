import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Json } from "@todoku/protocol";
import { z } from "zod";
import { ApiClient } from "./api-client.ts";
import { channelOf, durationOf, parseJson, refuseMore } from "./arguments.ts";
import {
  API_KEY,
  CommandError,
  EXIT,
  HELP,
  JSON_LINES,
  UsageError,
  URL_OPTION,
  type Arguments,
  type Command,
  type Terminal,
} from "./command.ts";
import { publishLines } from "./publish-lines.ts";
import { RepeatedPublishes, type Outcome } from "./repeated-publishes.ts";
import { serverAddress } from "./server-address.ts";

const STANDARD_REPEAT_MS = 30_000;

export const publish: Command = {
  name: "publish",
  summary: "Publish a message, or a message per line of standard input.",
  usage: "CHANNEL DATA | CHANNEL - | -",
  details:
    "DATA is JSON. `-` reads standard input: a line is the data of a message; with --ndjson, or without a CHANNEL, it is an object " +
    "{channel, data, key, tags}. Lines are stored in their order, as fast as the server stores them. " +
    "Every message has an idempotency key, and what fails for now is repeated with the same one.\n" +
    "With --key the lines have the keys KEY-1, KEY-2, …: the same input can then be published again after a failure, and what was stored " +
    "within the namespace's window is not stored again.",
  options: {
    text: { type: "boolean", short: "t", help: "Take the data as plain text; it is sent as a JSON string." },
    ndjson: { type: "boolean", help: "Lines are objects {channel, data, key, tags}." },
    key: {
      type: "string",
      short: "k",
      value: "KEY",
      help: "Idempotency key, 1 to 100 characters. Default: a new one.",
    },
    tag: { type: "string", multiple: true, value: "NAME=VALUE", help: "A tag of the message; may be repeated." },
    retry: {
      type: "string",
      value: "TIME",
      help: "How long a message is repeated that fails for now, such as 5m. Default: 30s, and not at all while the server was never reached.",
    },
    json: JSON_LINES,
    url: URL_OPTION,
    "api-key": API_KEY,
    help: HELP,
  },
  examples: [
    `todoku publish chat:42 '{"text":"hello"}'`,
    "todoku publish chat:42 --text 'hello there'",
    "tail -f app.log | todoku publish logs:app - --text",
    "todoku publish - --key import-7 < messages.ndjson",
  ],
  run: async (args, terminal) => {
    const [first, second] = args.words;
    const fromInput = (first === "-" && second === undefined) || second === "-";
    refuseMore(args, 2);
    const channel = first === "-" && fromInput ? undefined : channelOf(first);
    const key = args.text("key");
    if (key !== undefined && (key === "" || key.length > 100))
      throw new UsageError(`--key takes 1 to 100 characters, not ${key.length}`);
    const tags = tagsOf(args);
    if (fromInput) {
      // A request under way is finished when the user stops: its lines are then stored and counted.
      const publishes = repeatedPublishes(args, terminal, new AbortController().signal);
      const messages = channel === undefined || args.flag("ndjson");
      if (messages && args.flag("text"))
        throw new UsageError("--text is for lines that are data: leave it out, or --ndjson");
      return publishLines(
        { publishes, keyPrefix: key ?? randomUUID(), messages, channel, tags, text: args.flag("text") },
        terminal,
      );
    }
    if (args.flag("ndjson")) throw new UsageError("--ndjson reads standard input: use `-` as the data");
    if (channel === undefined || second === undefined)
      throw new UsageError("the data is missing: JSON, text with --text, or `-` for the lines of standard input");
    const data = args.flag("text") ? second : parseData(second);
    const message = { channel, data, key: key ?? randomUUID(), ...(tags && { tags }) };
    const [outcome] = await repeatedPublishes(args, terminal, terminal.stopped).publish([message]);
    if (outcome?.refused) throw new CommandError(EXIT.failed, `${channel}: ${outcome.refused.message}`);
    terminal.out(terminal.human ? said(channel, outcome) : JSON.stringify({ channel, ...outcome?.stored }));
    return EXIT.ok;
  },
};

function repeatedPublishes(args: Arguments, terminal: Terminal, giveUp: AbortSignal): RepeatedPublishes {
  const retryMs = durationOf(args, "retry");
  const api = new ApiClient(serverAddress(args, terminal, "api"), giveUp);
  let said = "";
  return new RepeatedPublishes(api, {
    forMs: retryMs ?? STANDARD_REPEAT_MS,
    fromTheStart: retryMs !== undefined,
    now: () => performance.now(),
    random: () => Math.random(),
    wait: (ms, why) => {
      if (why !== said) terminal.error(`${why}; trying again`);
      said = why;
      return sleep(ms, undefined, { signal: terminal.stopped });
    },
  });
}

function parseData(text: string): Json {
  try {
    return parseJson(text, "DATA");
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}; --text sends it as text`, {
      cause: error,
    });
  }
}

const tagEntries = z.record(z.string().min(1), z.string().max(256));

function tagsOf(args: Arguments): Readonly<Record<string, string>> | undefined {
  const given = args.texts("tag");
  if (given.length === 0) return undefined;
  const entries = given.map((tag) => {
    const equals = tag.indexOf("=");
    if (equals < 1) throw new UsageError(`--tag takes NAME=VALUE, not ${JSON.stringify(tag)}`);
    return [tag.slice(0, equals), tag.slice(equals + 1)];
  });
  const parsed = tagEntries.safeParse(Object.fromEntries(entries));
  if (!parsed.success || entries.length > 16)
    throw new UsageError("a message has at most 16 tags, each of at most 256 characters");
  return parsed.data;
}

function said(channel: string, outcome: Outcome | undefined): string {
  const { offset, epoch, duplicate } = outcome?.stored ?? {};
  if (offset === undefined)
    return `${channel}: accepted; a job, or a message of a channel that keeps none, has no position`;
  return `${channel}: ${duplicate ? "stored before with this key," : "stored"} at ${epoch ?? ""}:${offset}`;
}
