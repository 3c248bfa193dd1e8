/** Frames to and from text. A frame holds 1..n JSON objects with a newline between them. */
import { CLOSES, ERRORS } from "./codes.ts";
import { tooDeep } from "./depth.ts";
import { TodokuError } from "./error.ts";
import type { Command, Job, Method, Publication, Push, Reply, Requests } from "./frames.ts";
import { checkRequest, isMethod, needsId } from "./schema.ts";

/** A command that may be run. */
export type SoundCommand = {
  [M in Method]: { readonly id: number | undefined; readonly method: M; readonly request: Requests[M] };
}[Method];

/**
 * One command of a frame: to be run; or to be answered with `error`, because a value in it is wrong; or a pong.
 */
export type DecodedCommand =
  | SoundCommand
  | { readonly id: number | undefined; readonly method: Method; readonly error: TodokuError }
  | { readonly id: undefined; readonly method: "pong" };

export interface FrameLimits {
  /** Most commands in one frame. */
  readonly commands: number;
  /** Deepest nesting of arrays and objects. */
  readonly depth: number;
}

const PONG: DecodedCommand = { id: undefined, method: "pong" };

// ── the server's side ──────────────────────────────────────────────────────

/**
 * Reads a client's frame.
 *
 * @throws TodokuError of close code 3501 for what is not a command at all; its message names what.
 */
export function decodeCommands(text: string, limits: FrameLimits): DecodedCommand[] {
  const lines = linesOf(text);
  if (lines.length === 0) throw badFrame("the frame is empty");
  if (lines.length > limits.commands) throw badFrame(`more than ${limits.commands} commands in one frame`);
  return lines.map((line) => decodeCommand(line, limits.depth));
}

function decodeCommand(line: string, depth: number): DecodedCommand {
  if (line === "{}") return PONG;
  const command = parse(line, depth);
  if (!isObject(command)) throw badFrame("a command must be a JSON object");
  const id = idOf(command);
  const method = methodOf(command);
  if (method === undefined) {
    if (id === undefined) return PONG;
    throw badFrame("a command without a request");
  }
  if (id === undefined && needsId(method)) throw badFrame(`${method} needs an id`);
  const request = command[method];
  if (!isObject(request)) throw badFrame(`${method} must be an object`);
  const flaw = checkRequest(method, request);
  if (flaw !== undefined) return { id, method, error: new TodokuError(ERRORS.badRequest, `${method}.${flaw}`) };
  return { id, method, request } as unknown as SoundCommand;
}

/** The base protocol leaves zero values out: an id of 0 is none. */
function idOf({ id }: Readonly<Record<string, unknown>>): number | undefined {
  if (id === undefined || id === null || id === 0) return undefined;
  if (typeof id === "number" && Number.isSafeInteger(id) && id > 0) return id;
  throw badFrame("id must be a positive integer");
}

/** The one method among a command's fields, beside which others are ignored; undefined if it has no field but an id. */
function methodOf(command: Readonly<Record<string, unknown>>): Method | undefined {
  let method: Method | undefined;
  let other: string | undefined;
  for (const name of Object.keys(command)) {
    if (name === "id" || command[name] === null) continue;
    if (!isMethod(name)) other ??= name;
    else if (method === undefined) method = name;
    else throw badFrame(`two requests in one command, ${quote(method)} and ${quote(name)}`);
  }
  if (method === undefined && other !== undefined) throw badFrame(`unknown command ${quote(other)}`);
  return method;
}

/** A reply as text; replies that hold publications are better put together with `publicationText`. */
export function encodeReply(reply: Reply): string {
  return JSON.stringify(reply);
}

export function encodePush(push: Push): string {
  return JSON.stringify({ push });
}

/** Everything of a publication but its data. */
export type PublicationFields = Omit<Publication, "data">;

/** A publication around `data` that is JSON text already. */
export function publicationText(data: string, fields: PublicationFields): string {
  const rest = JSON.stringify(fields);
  return rest === "{}" ? `{"data":${data}}` : `{"data":${data},${rest.slice(1)}`;
}

/** A push of a publication around `data` that is JSON text already. */
export function encodePublication(channel: string, data: string, fields: PublicationFields): string {
  return `{"push":{"channel":${JSON.stringify(channel)},"pub":${publicationText(data, fields)}}}`;
}

/** A push of a job around `data` that is JSON text already. */
export function encodeJob(queue: string, data: string, fields: Omit<Job, "data">): string {
  return `{"push":{"queue":${JSON.stringify(queue)},"job":{"data":${data},${JSON.stringify(fields).slice(1)}}}`;
}

// ── the client's side ──────────────────────────────────────────────────────

/** One command as text. */
export function encodeCommand(command: Command): string {
  return JSON.stringify(command);
}

/** Several commands as one frame. */
export function encodeCommands(commands: readonly Command[]): string {
  return commands.map(encodeCommand).join("\n");
}

/**
 * Reads a server's frame; a reply without any field is a ping.
 *
 * @throws TodokuError of close code 3501 for what is not JSON.
 */
export function decodeReplies(text: string): Reply[] {
  const replies: Reply[] = [];
  for (let from = 0, to = 0; from < text.length; from = to + 1) {
    to = text.indexOf("\n", from);
    if (to < 0) to = text.length;
    if (to > from) replies.push(decodePublication(text, from, to) ?? decodeReply(text.slice(from, to)));
  }
  return replies;
}

function decodeReply(line: string): Reply {
  const reply = parse(line, Number.POSITIVE_INFINITY);
  if (!isObject(reply)) throw badFrame("a reply must be a JSON object");
  return reply;
}

/** How a push of a publication begins, up to it. In the channel's name neither quote, backslash nor control character: such are left to JSON. */
const PUBLICATION = /\{"push":\{"channel":"[ !#-[\]-\uffff]*","pub":/y;
const BEFORE_CHANNEL = '{"push":{"channel":"'.length;
const AFTER_CHANNEL = '","pub":'.length;

/**
 * Nearly all that a client receives are publications, and what is around one costs more than half of what it does. Here it is taken off
 * the line as text: if what is left is JSON, so was the whole, and it meant the same. Undefined for what is to be read in another way.
 */
function decodePublication(text: string, from: number, to: number): Reply | undefined {
  PUBLICATION.lastIndex = from;
  if (!PUBLICATION.test(text) || !text.endsWith("}}", to)) return undefined;
  const begin = PUBLICATION.lastIndex;
  const channel = text.slice(from + BEFORE_CHANNEL, begin - AFTER_CHANNEL);
  try {
    return { push: { channel, pub: JSON.parse(text.slice(begin, to - 2)) as Publication } };
  } catch {
    return undefined;
  }
}

// ── both ───────────────────────────────────────────────────────────────────

/** JSON text holds no raw newline, so each newline ends an object. */
function linesOf(text: string): string[] {
  if (!text.includes("\n")) return text === "" ? [] : [text];
  return text.split("\n").filter((line) => line !== "");
}

function parse(line: string, depth: number): unknown {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw badFrame("not JSON");
  }
  if (tooDeep(value, depth)) throw badFrame(`nested deeper than ${depth}`);
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function badFrame(detail: string): TodokuError {
  return new TodokuError(CLOSES.badRequest, detail);
}

/** A client's own word in an error: short, and never more than a name. */
function quote(name: string): string {
  return JSON.stringify(name.slice(0, 32));
}
