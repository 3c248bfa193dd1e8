/** What can happen to a queue, as records of its partition: the key is the queue, a header the command, the value a job's data. */
import type {
  EnqueueOptions,
  Failure,
  FailOutcome,
  HandOut,
  LeaseOptions,
  LeaseOutcome,
  Message,
  Redelivery,
} from "../../contract.ts";
import type { NewRecord, PlacedRecord } from "../records.ts";

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
    if (typeof by !== "string" || !isCommand(command)) return undefined;
    return { queue: key.toString(), data: value.toString(), by, n, command };
  } catch {
    return undefined;
  }
}

/** What another program wrote there is not to stop anybody: only what can be done is taken for a command. */
function isCommand(command: Command): boolean {
  switch (command.do) {
    case "enqueue":
      return isText(command.job?.id) && isNumber(command.job.time) && typeof command.options === "object";
    case "lease": {
      const { limit, leaseMs, redelivery } = command.options ?? {};
      return isText(command.group, command.nonce) && isNumber(limit, leaseMs) && isRedelivery(redelivery);
    }
    case "done":
      return isText(command.group, command.lease);
    case "fail":
      return isText(command.group, command.lease) && isRedelivery(command.failure?.redelivery);
    case "extend":
      return isText(command.group, command.lease) && isNumber(command.leaseMs);
    case "pause":
      return typeof command.paused === "boolean";
    case "forget":
      return isText(command.group);
    case "replay":
    case "purge":
      return Array.isArray(command.ids) && isText(...command.ids);
    case "snapshot":
      return isNumber(command.since);
    default:
      return false;
  }
}

function isRedelivery(redelivery: Partial<Redelivery> | undefined): boolean {
  const { maxAttempts, backoff, deadLetters } = redelivery ?? {};
  return isNumber(maxAttempts, backoff?.firstMs, backoff?.lastMs) && typeof deadLetters === "boolean";
}

function isText(...values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === "string");
}

function isNumber(...values: readonly unknown[]): boolean {
  return values.every((value) => typeof value === "number");
}
