/** A method of the HTTP API as data: the OpenAPI document, the docs and the checks are made from it. */
import { checkChannel, ERRORS, TodokuError } from "@todoku/protocol";
import { z } from "zod";
import type { Operations } from "../gateway/operations.ts";
import type { Namespace, Namespaces } from "../namespaces/namespace.ts";
import type { Publisher } from "../namespaces/publisher.ts";

/** What the methods work with. */
export interface ApiContext {
  readonly namespaces: Namespaces;
  readonly publisher: Publisher;
  readonly operations: Operations;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Most messages, and bytes of data, of one history answer. */
  readonly history: { readonly messages: number; readonly bytes: number };
  /** Told of what should not have happened; `where` is a method or a path. */
  readonly report: (where: string, error: unknown) => void;
}

/** What a request says beside its body. */
export interface ApiCall {
  /** From the header `Idempotency-Key` or `X-Idempotency-Key`. */
  readonly idempotencyKey?: string;
}

export interface ApiError {
  readonly code: number;
  readonly message: string;
}

export type Answered = { readonly result: unknown } | { readonly error: ApiError };

export interface Route {
  /** The last part of the path: `POST /api/<method>`. */
  readonly method: string;
  readonly summary: string;
  readonly request: z.ZodType;
  /** Of what stands in `result`. */
  readonly result: z.ZodType;
  /** The result is the whole answer, with no `result` around it. */
  readonly bare?: boolean;
  readonly run: (context: ApiContext, request: unknown, call: ApiCall) => Promise<unknown>;
}

/** Ties a handler to the types of its schemas. */
export function route<Request extends z.ZodType, Result extends z.ZodType>(definition: {
  readonly method: string;
  readonly summary: string;
  readonly request: Request;
  readonly result: Result;
  readonly bare?: boolean;
  readonly run: (context: ApiContext, request: z.output<Request>, call: ApiCall) => Promise<z.input<Result>>;
}): Route {
  return {
    ...definition,
    run: (context, request, call) => definition.run(context, parse(definition.request, request), call),
  };
}

/** @throws TodokuError 107 that names the field. */
function parse<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  const parsed = schema.safeParse(value, { reportInput: true });
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = issue === undefined || issue.path.length === 0 ? "the body" : issue.path.join(".");
  throw new TodokuError(ERRORS.badRequest, `${field} ${flawOf(issue)}`);
}

/** What is wrong, in words that follow the field's name and never repeat its value. */
function flawOf(issue: z.core.$ZodIssue | undefined): string {
  if (issue === undefined) return "is wrong";
  if (issue.code === "invalid_type" && issue.input === undefined) return "is missing";
  if (issue.code === "invalid_type") return `must be ${article(issue.expected)}`;
  if (issue.code === "custom") return issue.message;
  return `is wrong: ${issue.message.charAt(0).toLowerCase()}${issue.message.slice(1)}`;
}

function article(type: string): string {
  const name = type === "int" ? "integer" : type;
  return `${/^[aeiou]/.test(name) ? "an" : "a"} ${name}`;
}

/** @throws TodokuError 107 for no channel name, 102 for a namespace that is not configured. */
export function namespaceOfChannel({ namespaces }: ApiContext, channel: string): Namespace {
  const flaw = checkChannel(channel);
  if (flaw !== undefined) throw new TodokuError(ERRORS.badRequest, `channel ${flaw}`);
  const namespace = namespaces.of(channel);
  if (!namespace) throw new TodokuError(ERRORS.unknownChannel, `no namespace is configured for ${channel}`);
  return namespace;
}

// ── schemas that several methods share ─────────────────────────────────────

export const channelField: z.ZodString = z.string().meta({ description: "Name of the channel.", example: "chat:42" });
export const jsonField: z.ZodType = z
  .unknown()
  .refine((value) => value !== undefined, "is missing")
  .meta({ description: "Any JSON value." });
export const tagsField: z.ZodType<Record<string, string>> = z
  .record(z.string(), z.string().max(256))
  .refine((tags) => Object.keys(tags).length <= 16, "must have at most 16 entries");
export const clientInfo: z.ZodType = z.object({
  user: z.string(),
  client: z.string(),
  conn_info: z.unknown().optional(),
  chan_info: z.unknown().optional(),
});
export const publicationResult: z.ZodType = z.object({
  data: z.unknown(),
  offset: z.int().min(0).optional(),
  info: clientInfo.optional(),
  tags: z.record(z.string(), z.string()).optional(),
  id: z.string().optional(),
  time: z.int().optional(),
});
export const errorResult: z.ZodObject = z.object({ code: z.int(), message: z.string() });
export const empty: z.ZodObject = z.object({});
