/** What the fields of each request must be. Fields that are not named here are ignored; `null` is like an absent field. */
import { checkChannel } from "./channel.ts";
import type { Method } from "./frames.ts";

/** Returns what is wrong with a value, in words that follow the field's name; or the path inside it (`.a`, `["a"]`) first. */
type Check = (value: unknown) => string | undefined;

interface Field {
  readonly check: Check;
  readonly required: boolean;
}

type Schema = Readonly<Record<string, Field>>;
/** A schema's entries, listed once and walked for every request. */
type Fields = readonly (readonly [name: string, field: Field])[];

const MOST_TAGS = 16;
const TAG_LENGTH = 256;
const KEY_LENGTH = 128;
const NAME_LENGTH = 128;
const TOKEN_LENGTH = 16_384;
const LEASE_LENGTH = 128;
const REASON_LENGTH = 256;
const MOST_IN_FLIGHT = 10_000;
const MOST_RESULTS = 100;
/** From a second to a day. */
const LEASE_MS = [1000, 86_400_000] as const;
const MOST_DELAY_MS = 31 * 86_400_000;

const text =
  (least: number, most: number): Check =>
  (value) => {
    if (typeof value !== "string" || value.length < least || value.length > most)
      return `must be a text of ${least} to ${most} characters`;
    // Half a surrogate pair has no UTF-8: two different keys would be stored as the same one.
    return value.isWellFormed() ? undefined : "must be well-formed Unicode";
  };

const integer =
  (least: number, most: number): Check =>
  (value) =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
      ? undefined
      : `must be an integer from ${least} to ${most}`;

const flag: Check = (value) => (typeof value === "boolean" ? undefined : "must be true or false");
const anything: Check = () => undefined;
const offset = integer(0, Number.MAX_SAFE_INTEGER);
const epoch = text(0, 128);

const channel: Check = (value) => (typeof value === "string" ? checkChannel(value) : "must be a text");

const object = (schema: Schema): Check => {
  const fields = Object.entries(schema);
  return (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return "must be an object";
    const flaw = checkFields(fields, value as Record<string, unknown>);
    return flaw === undefined ? undefined : `.${flaw}`;
  };
};

const mapOf =
  (most: number, check: Check): Check =>
  (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return "must be an object";
    const entries = Object.entries(value);
    if (entries.length > most) return `must have at most ${most} entries`;
    for (const [name, entry] of entries) {
      const flaw = check(entry) ?? entryName(name);
      if (flaw !== undefined) return named(`[${JSON.stringify(name.slice(0, 32))}]`, flaw);
    }
    return undefined;
  };

const listOf =
  (most: number, check: Check): Check =>
  (value) => {
    if (!Array.isArray(value)) return "must be a list";
    if (value.length > most) return `must have at most ${most} entries`;
    for (const [i, entry] of value.entries()) {
      const flaw = check(entry);
      if (flaw !== undefined) return named(`[${i}]`, flaw);
    }
    return undefined;
  };

const entryName: Check = text(0, TAG_LENGTH);

const required = (check: Check): Field => ({ check, required: true });
const optional = (check: Check): Field => ({ check, required: false });

const position: Schema = { offset: required(offset), epoch: required(epoch) };
const recover: Schema = { recover: optional(flag), offset: optional(offset), epoch: optional(epoch) };
const onlyChannel: Schema = { channel: required(channel) };
const receipt: Schema = { channel: required(channel), ...position };

const tags: Check = mapOf(MOST_TAGS, text(0, TAG_LENGTH));
const consumption: Schema = { queue: required(channel), group: optional(text(1, NAME_LENGTH)) };
const lease: Schema = { ...consumption, lease: required(text(1, LEASE_LENGTH)) };
const result: Schema = { channel: required(channel), data: required(anything), tags: optional(tags) };

const start: Check = (value) =>
  value === "new" || value === "earliest" || object(position)(value) === undefined
    ? undefined
    : 'must be "new", "earliest" or a position {offset, epoch}';

const SCHEMAS: Readonly<Record<Method, Schema>> = {
  connect: {
    token: optional(text(0, TOKEN_LENGTH)),
    data: optional(anything),
    name: optional(text(0, NAME_LENGTH)),
    version: optional(text(0, NAME_LENGTH)),
    subs: optional(mapOf(1024, object(recover))),
    todoku: optional(object({ version: required(integer(1, 1000)) })),
  },
  subscribe: {
    channel: required(channel),
    token: optional(text(0, TOKEN_LENGTH)),
    data: optional(anything),
    ...recover,
    positioned: optional(flag),
    recoverable: optional(flag),
    join_leave: optional(flag),
    flag: optional(integer(0, 2 ** 31 - 1)),
    start: optional(start),
    durable: optional(text(1, NAME_LENGTH)),
    ack: optional(flag),
    in_flight: optional(integer(1, MOST_IN_FLIGHT)),
  },
  unsubscribe: { channel: required(channel), forget: optional(flag) },
  publish: {
    channel: required(channel),
    data: required(anything),
    key: optional(text(1, KEY_LENGTH)),
    key_age: optional(integer(0, Number.MAX_SAFE_INTEGER)),
    tags: optional(tags),
    deliver_at: optional(integer(0, Number.MAX_SAFE_INTEGER)),
    ttl: optional(integer(1, Number.MAX_SAFE_INTEGER)),
  },
  history: {
    channel: required(channel),
    limit: optional(integer(-1, Number.MAX_SAFE_INTEGER)),
    since: optional(object({ offset: optional(offset), epoch: optional(epoch) })),
    reverse: optional(flag),
  },
  presence: onlyChannel,
  presence_stats: onlyChannel,
  rpc: { method: optional(text(0, NAME_LENGTH)), data: optional(anything) },
  refresh: { token: required(text(1, TOKEN_LENGTH)) },
  sub_refresh: { channel: required(channel), token: required(text(1, TOKEN_LENGTH)) },
  send: { data: required(anything) },
  ack: receipt,
  nack: receipt,
  consume: {
    ...consumption,
    in_flight: optional(integer(1, MOST_IN_FLIGHT)),
    lease_ms: optional(integer(...LEASE_MS)),
    token: optional(text(0, TOKEN_LENGTH)),
    resume: optional(listOf(MOST_IN_FLIGHT, text(1, LEASE_LENGTH))),
  },
  unconsume: consumption,
  done: { ...lease, publish: optional(listOf(MOST_RESULTS, object(result))) },
  fail: {
    ...lease,
    retry_in_ms: optional(integer(0, MOST_DELAY_MS)),
    untried: optional(flag),
    reason: optional(text(0, REASON_LENGTH)),
  },
  extend: { ...lease, lease_ms: optional(integer(...LEASE_MS)) },
};

const FIELDS: ReadonlyMap<Method, Fields> = new Map(
  Object.entries(SCHEMAS).map(([method, schema]) => [method as Method, Object.entries(schema)]),
);

/** Requests that may come without an id: nobody waits for their reply. */
const WITHOUT_ID: ReadonlySet<Method> = new Set(["send", "ack", "nack"]);

export function isMethod(name: string): name is Method {
  return Object.hasOwn(SCHEMAS, name);
}

export function needsId(method: Method): boolean {
  return !WITHOUT_ID.has(method);
}

/**
 * What is wrong with a request, beginning with the field's name; undefined for a sound one. Takes each `null` that means
 * an absent field out of the request.
 */
export function checkRequest(method: Method, request: Record<string, unknown>): string | undefined {
  return checkFields(FIELDS.get(method) ?? [], request);
}

function checkFields(fields: Fields, value: Record<string, unknown>): string | undefined {
  for (const [name, { check, required }] of fields) {
    let present = Object.hasOwn(value, name);
    if (present && value[name] === null && check !== anything) {
      delete value[name];
      present = false;
    }
    if (!present && required) return `${name} is missing`;
    if (!present) continue;
    const flaw = check(value[name]);
    if (flaw !== undefined) return named(name, flaw);
  }
  return undefined;
}

function named(name: string, flaw: string): string {
  return /^[.[]/.test(flaw) ? name + flaw : `${name} ${flaw}`;
}
