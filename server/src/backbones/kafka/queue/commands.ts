/** What can happen to a queue, as records of its partition: the key is the queue, a header the command, the value a job's data. */
import type {
  EnqueueOptions,
  Failure,
  FailOutcome,
  HandOut,
  LeaseOptions,
  LeaseOutcome,
  Message,
} from "../../contract.ts";
import { isInfo, isObject, isTags, type NewRecord, type PlacedRecord } from "../records.ts";

interface Given {
  readonly enqueue: { readonly job: Omit<Message, "data">; readonly options: EnqueueOptions };
  /** `nonce` makes the names of the leases. */
  readonly lease: { readonly group: string; readonly options: LeaseOptions; readonly nonce: string };
  readonly done: { readonly group: string; readonly lease: string };
  readonly fail: { readonly group: string; readonly lease: string; readonly failure: Failure };
  readonly extend: { readonly group: string; readonly lease: string; readonly leaseMs: number };
  readonly pause: { readonly paused: boolean };
  readonly forget: { readonly group: string };
  readonly replay: { readonly ids: readonly string[] };
  readonly purge: { readonly ids: readonly string[] };
  /** Whoever wrote it writes down the state as it is here, unless somebody else has since the one at `since`. */
  readonly snapshot: { readonly since: number };
}

/** What comes of a command. */
export interface Outcomes {
  readonly enqueue: { readonly duplicate: boolean };
  readonly lease: HandOut;
  readonly done: LeaseOutcome;
  readonly fail: FailOutcome;
  readonly extend: LeaseOutcome;
  readonly pause: undefined;
  readonly forget: undefined;
  readonly replay: number;
  readonly purge: number;
  /** Whether the state is to be written down. */
  readonly snapshot: boolean;
}

export type CommandKind = keyof Given;
export type Command = { readonly [K in CommandKind]: { readonly do: K } & Given[K] }[CommandKind];
export type CommandOf<K extends CommandKind> = Extract<Command, { readonly do: K }>;
export type Outcome = Outcomes[CommandKind];

/** Who wrote it, and which of its commands it is. */
export interface Author {
  readonly by: string;
  readonly n: number;
}

export interface WrittenCommand extends Author {
  readonly queue: string;
  readonly command: Command;
  readonly data: string;
}

/**
 * Every gateway that reads a partition must come to the same state. Where a command would mean something else than before, or there is
 * a new one, this is raised, so that gateways of the version before stop instead of knowing something else.
 */
export const COMMAND_FORMAT = 1;
const HEADER = "todoku-command";

/** `data` is a job's. */
export function recordOfCommand(queue: string, command: Command, { by, n }: Author, data = ""): NewRecord {
  const header = JSON.stringify({ format: COMMAND_FORMAT, by, n, command });
  return {
    key: Buffer.from(queue),
    value: Buffer.from(data),
    headers: new Map([[Buffer.from(HEADER), Buffer.from(header)]]),
  };
}

/** `undefined` for what is no command. A command of another version is named by that. */
export function commandOf({
  key,
  value,
  headers,
}: PlacedRecord): WrittenCommand | { readonly format: number } | undefined {
  const header = headers.find(([name]) => name?.toString() === HEADER)?.[1];
  if (!header || !key || !value) return undefined;
  try {
    const { format, by, n, command } = JSON.parse(header.toString()) as Author & { format: number; command: Command };
    if (!Number.isSafeInteger(format)) return undefined;
    if (format !== COMMAND_FORMAT) return { format };
    if (!isText(by) || !isNumber(n) || !isCommand(command)) return undefined;
    return { queue: key.toString(), data: value.toString(), by, n, command };
  } catch {
    return undefined;
  }
}

/** What another program wrote there is not to stop anybody: only what can be done is taken for a command. */
function isCommand(command: Command): boolean {
  switch (command.do) {
    case "enqueue":
      return isJob(command.job) && isEnqueueOptions(command.options);
    case "lease": {
      const { limit, leaseMs, redelivery } = command.options ?? {};
      return isText(command.group, command.nonce) && isNumber(limit, leaseMs) && isRedelivery(redelivery);
    }
    case "done":
      return isText(command.group, command.lease);
    case "fail":
      return isText(command.group, command.lease) && isFailure(command.failure);
    case "extend":
      return isText(command.group, command.lease) && isNumber(command.leaseMs);
    case "pause":
      return typeof command.paused === "boolean";
    case "forget":
      return isText(command.group);
    case "replay":
    case "purge":
      return Array.isArray(command.ids) && command.ids.every((id) => isText(id));
    case "snapshot":
      return isNumber(command.since);
    default:
      return false;
  }
}

/** What was read from JSON may lack anything, or be anything else, `null` among it. */
type Read<T> = { readonly [K in keyof T]?: unknown } | null | undefined;

function isJob(job: Read<CommandOf<"enqueue">["job"]>): boolean {
  return isText(job?.id) && isNumber(job?.time) && isTags(job?.tags) && isInfo(job?.info);
}

function isEnqueueOptions(options: Read<EnqueueOptions>): boolean {
  if (!isObject(options)) return false;
  const { dedupe, deliverAt, expiresAt } = options;
  if (dedupe !== undefined && !(isObject(dedupe) && isText(dedupe["key"]) && isNumber(dedupe["windowMs"])))
    return false;
  return isNumberOrAbsent(deliverAt) && isNumberOrAbsent(expiresAt);
}

function isFailure(failure: Read<Failure>): boolean {
  if (!isObject(failure)) return false;
  const { redelivery, retryInMs, untried, reason } = failure;
  if (!isNumberOrAbsent(retryInMs) || (untried !== undefined && typeof untried !== "boolean")) return false;
  return isRedelivery(redelivery) && (reason === undefined || isText(reason));
}

function isRedelivery(redelivery: unknown): boolean {
  if (!isObject(redelivery)) return false;
  const { maxAttempts, backoff, deadLetters } = redelivery;
  if (!isObject(backoff) || typeof deadLetters !== "boolean") return false;
  return isNumber(maxAttempts, backoff["firstMs"], backoff["lastMs"]);
}

function isText(...values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === "string");
}

function isNumber(...values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === "number");
}

function isNumberOrAbsent(value: unknown): boolean {
  return value === undefined || typeof value === "number";
}
