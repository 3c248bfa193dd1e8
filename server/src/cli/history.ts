import { ERRORS, type Json } from "@todoku/protocol";
import { z } from "zod";
import { ApiClient, ApiRefusal } from "./api-client.ts";
import { channelOf, countOf, refuseMore } from "./arguments.ts";
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
import { paint } from "./paint.ts";
import { parsePosition, type GivenPosition } from "./position.ts";
import { jsonLineOf, lineOf } from "./printed-message.ts";
import { serverAddress } from "./server-address.ts";

const STANDARD_LIMIT = 100;
/** Messages of one request; the server may give fewer. */
const PAGE = 1000;

const page = z.object({
  publications: z.array(
    z.looseObject({
      data: z.custom<Json>((value) => value !== undefined),
      offset: z.int(),
      time: z.int().optional(),
      tags: z.record(z.string(), z.string()).optional(),
    }),
  ),
  epoch: z.string(),
  offset: z.int(),
});

export const history: Command = {
  name: "history",
  summary: "Print the messages that a channel keeps.",
  usage: "CHANNEL [--limit 100] [--since EPOCH:OFFSET | --from TIME] [--reverse]",
  details:
    "Oldest first. On a terminal the last line, on standard error, says where to go on. Through the HTTP API, page by page.",
  options: {
    limit: { type: "string", short: "n", value: "N", help: "Most messages; `all` for every one. Default: 100." },
    since: {
      type: "string",
      value: "POSITION",
      help: "Only what came after this position, EPOCH:OFFSET or OFFSET; with --reverse what came before.",
    },
    from: {
      type: "string",
      value: "TIME",
      help: "Only what was accepted at this time or later: 2026-01-01, or 2026-01-01T12:00:00Z.",
    },
    reverse: { type: "boolean", short: "r", help: "Newest first." },
    json: JSON_LINES,
    url: URL_OPTION,
    "api-key": API_KEY,
    help: HELP,
  },
  examples: [
    "todoku history chat:42",
    "todoku history chat:42 --reverse --limit 5",
    "todoku history chat:42 --limit all --json > chat.ndjson",
    "todoku history chat:42 --from 2026-01-01",
  ],
  run: async (args, terminal) => {
    const channel = channelOf(args.words[0]);
    refuseMore(args, 1);
    const limit = args.text("limit") === "all" ? Infinity : (countOf(args, "limit") ?? STANDARD_LIMIT);
    const api = new ApiClient(serverAddress(args, terminal, "api"), terminal.stopped);
    const request = { channel, limit, since: sinceOf(args), from: fromOf(args), reverse: args.flag("reverse") };
    if (request.from !== undefined && (request.since || request.reverse)) {
      throw new UsageError("--from goes forward from a time: leave out --since and --reverse");
    }
    return (await print(api, request, terminal)) ? EXIT.ok : EXIT.interrupted;
  },
};

interface Request {
  readonly channel: string;
  readonly limit: number;
  readonly since: GivenPosition | undefined;
  /** ms since 1970. */
  readonly from: number | undefined;
  readonly reverse: boolean;
}

/** Resolves with whether everything asked for was printed. */
async function print(
  api: ApiClient,
  { channel, limit, since, from, reverse }: Request,
  terminal: Terminal,
): Promise<boolean> {
  const colours = paint(terminal.color);
  let after = since;
  let left = limit;
  for (;;) {
    const asked = Math.min(left, PAGE);
    const { publications, epoch, offset } = await pageOf(api, {
      channel,
      limit: asked,
      ...(after ? { since: after } : from !== undefined && { from }),
      ...(reverse && { reverse }),
    });
    for (const publication of publications) {
      const message = { channel, ...publication, epoch };
      terminal.out(terminal.human ? lineOf(message, colours) : jsonLineOf(message));
    }
    await terminal.taken();
    if (terminal.stopped.aborted) return false;
    const last = publications.at(-1);
    left -= publications.length;
    if (!last || left === 0 || (!reverse && last.offset >= offset)) {
      if (terminal.human) terminal.error(colours.dim(ending({ epoch, offset }, last?.offset, reverse)));
      return true;
    }
    // The epoch is said from the first page on: a channel that begins anew in between is an error, not a mixture.
    after = { epoch, offset: last.offset };
  }
}

async function pageOf(
  api: ApiClient,
  request: { readonly channel: string; readonly since?: GivenPosition; readonly [option: string]: unknown },
): Promise<z.output<typeof page>> {
  try {
    return await api.call("history", request, page);
  } catch (error) {
    const { channel, since } = request;
    if (!(error instanceof ApiRefusal && error.code === ERRORS.unrecoverablePosition.code)) throw error;
    throw new CommandError(
      EXIT.failed,
      `${channel} has begun anew since epoch ${since?.epoch ?? ""}: what that position stood for is gone. Leave out --since`,
      { cause: error },
    );
  }
}

function ending(head: { epoch: string; offset: number }, last: number | undefined, reverse: boolean): string {
  if (last === undefined)
    return `nothing is kept ${reverse ? "before" : "after"} that; the channel is at ${head.epoch}:${head.offset}`;
  if (!reverse && last === head.offset) return `that is all; the channel is at ${head.epoch}:${head.offset}`;
  return `more: --since ${head.epoch}:${last}`;
}

/** A day without a time begins at midnight UTC. */
function fromOf(args: Arguments): number | undefined {
  const text = args.text("from");
  if (text === undefined) return undefined;
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time) || time < 0) {
    throw new UsageError(`--from takes a time such as 2026-01-01 or 2026-01-01T12:00:00Z, not ${JSON.stringify(text)}`);
  }
  return time;
}

function sinceOf(args: Arguments): GivenPosition | undefined {
  const text = args.text("since");
  if (text === undefined) return undefined;
  const position = parsePosition(text);
  if (!position) throw new UsageError(`--since takes EPOCH:OFFSET or OFFSET, not ${JSON.stringify(text)}`);
  return position;
}
