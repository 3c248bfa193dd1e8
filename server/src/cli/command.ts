/** What a command of the program is made of. */
import type { Readable } from "node:stream";

/** How the process ends. */
export const EXIT = {
  ok: 0,
  /** The work was refused or failed. */
  failed: 1,
  /** The command was called wrongly. */
  usage: 2,
  /** The server could not be reached. */
  unavailable: 3,
  /** Ctrl-C came before the work was done. */
  interrupted: 130,
} as const;

/** What each code means, for the help and the docs. */
export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: "done",
  failed: "refused or failed",
  usage: "called wrongly",
  unavailable: "server not reached",
  interrupted: "interrupted before the work was done",
};

export interface Option {
  readonly type: "string" | "boolean";
  readonly short?: string;
  readonly multiple?: boolean;
  /** Name of the value in the help. */
  readonly value?: string;
  readonly help: string;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What follows the name, as the help shows it. */
  readonly usage: string;
  /** What the summary has no room for, in the help and the docs. */
  readonly details?: string;
  readonly options: Readonly<Record<string, Option>>;
  readonly examples: readonly string[];
  /** Resolves with the exit code. */
  readonly run: (args: Arguments, terminal: Terminal) => Promise<number>;
}

/** What a command was called with. */
export interface Arguments {
  readonly words: readonly string[];
  text(option: string): string | undefined;
  texts(option: string): readonly string[];
  flag(option: string): boolean;
}

/** Where a command reads and writes. */
export interface Terminal {
  /** Standard output is a terminal, and nobody asked for `--json`. */
  readonly human: boolean;
  readonly color: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly folder: string;
  readonly input: Readable;
  out(line: string): void;
  error(line: string): void;
  /** Resolves when the reader of standard output has taken what was written: whoever prints without end waits for it. */
  taken(): Promise<void>;
  /** Aborted by Ctrl-C or SIGTERM (`INTERRUPTED`), and when nobody reads standard output any more (`UNREAD`). */
  readonly stopped: AbortSignal;
  /** Calls back at every SIGHUP, unless a terminal that is closed sends it. */
  onReload(reload: () => void): void;
}

/** Why `stopped` was aborted. */
export const INTERRUPTED = "interrupted";
export const UNREAD = "standard output is not read any more";

/** The command was called wrongly; the message says how it is called right. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The command failed in a way that has an exit code of its own. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exit: number;

  constructor(exit: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exit = exit;
  }
}

export const HELP: Option = { type: "boolean", short: "h", help: "Show this help." };
export const JSON_LINES: Option = {
  type: "boolean",
  help: "Print lines of JSON on a terminal, too; they are what everything but a terminal gets.",
};
export const CONFIG: Option = {
  type: "string",
  short: "c",
  value: "FILE",
  help: "Configuration file. Default: todoku.yaml in this folder.",
};
export const URL_OPTION: Option = {
  type: "string",
  short: "u",
  value: "URL",
  help: "The server. Default: $TODOKU_URL, else what todoku.yaml in this folder says, else http://localhost:8000.",
};
export const API_KEY: Option = {
  type: "string",
  value: "KEY",
  help: "API key. Default: $TODOKU_API_KEY; for the server of todoku.yaml, the first key in it.",
};
