/** What a command of the program is made of. */
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";

/** How the process ends. */
export const EXIT = {
  ok: 0,
  /** The work was refused or failed. */
  failed: 1,
  /** The command was called wrongly. */
  usage: 2,
  /** The server could not be reached. */
  unavailable: 3,
} as const;

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
  readonly options: Readonly<Record<string, Option>>;
  readonly examples: readonly string[];
  /** Resolves with the exit code. */
  readonly run: (args: Arguments, terminal: Terminal) => Promise<number>;
}

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
  readonly input: NodeJS.ReadableStream;
  out(line: string): void;
  error(line: string): void;
  /** Aborted by Ctrl-C or SIGTERM. */
  readonly stopped: AbortSignal;
}

/** The command was called wrongly; the message says how it is called right. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export const HELP: Option = { type: "boolean", short: "h", help: "Show this help." };
export const JSON_LINES: Option = { type: "boolean", help: "Print lines of JSON, also on a terminal." };
export const CONFIG: Option = {
  type: "string",
  short: "c",
  value: "FILE",
  help: "Configuration file. Default: todoku.yaml in this folder.",
};
export const URL_OPTION: Option = {
  type: "string",
  value: "URL",
  help: "The server. Default: $TODOKU_URL, else http://localhost:8000.",
};
export const KEY: Option = { type: "string", value: "KEY", help: "API key. Default: $TODOKU_API_KEY." };

export function parseArguments(command: Command, argv: readonly string[]): Arguments {
  const options: ParseArgsOptionsConfig = Object.fromEntries(
    Object.entries(command.options).map(([name, { type, short, multiple }]) => [
      name,
      { type, ...(short !== undefined && { short }), ...(multiple && { multiple }) },
    ]),
  );
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
    const valueOf = (option: string): unknown => values[option];
    return {
      words: positionals,
      text: (option) => {
        const value = valueOf(option);
        return typeof value === "string" ? value : undefined;
      },
      texts: (option) => [valueOf(option) ?? []].flat().map(String),
      flag: (option) => valueOf(option) === true,
    };
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message.split(". To specify")[0] : String(error), {
      cause: error,
    });
  }
}

export function helpOf({ name, summary, usage, options, examples }: Command): string {
  const rows = Object.entries(options).map(([option, { short, value, help }]) => {
    const names = `${short === undefined ? "    " : `-${short}, `}--${option}${value === undefined ? "" : ` ${value}`}`;
    return `  ${names.padEnd(28)} ${help}`;
  });
  return [
    summary,
    "",
    `Usage: todoku ${name}${usage === "" ? "" : ` ${usage}`}`,
    "",
    "Options:",
    ...rows,
    "",
    examples.length === 1 ? "Example:" : "Examples:",
    ...examples.map((example) => `  ${example}`),
  ].join("\n");
}
