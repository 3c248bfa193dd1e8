/** Reads what a command was called with, and says what is wrong with it. */
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { checkChannel, type Json } from "@todoku/protocol";
import { nearest } from "../nearest.ts";
import { parseDuration } from "../units.ts";
import { UsageError, type Arguments, type Command } from "./command.ts";

/** @throws UsageError that names the option, and the known one nearest to it. */
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
    throw new UsageError(explain(error, command), { cause: error });
  }
}

/** `parseArgs` in the words of this program. */
function explain(error: unknown, { options }: Command): string {
  const message = error instanceof Error ? error.message : String(error);
  const unknown = /^Unknown option '(-[^']*)'/.exec(message)?.[1];
  if (unknown !== undefined) {
    const near = nearest(unknown.replace(/^-+/, ""), Object.keys(options));
    return `unknown option ${unknown}${near === undefined ? "" : `; did you mean --${near}?`}`;
  }
  const [first = message] = message.split(/\. To specify|\n/);
  return first.charAt(0).toLowerCase() + first.slice(1);
}

/** An option that counts something. @throws UsageError that names the option and the value. */
export function countOf(args: Arguments, option: string, least = 1): number | undefined {
  const text = args.text(option);
  if (text === undefined) return undefined;
  const count = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(count) || count < least) {
    throw new UsageError(`--${option} takes a number from ${least} on, not ${JSON.stringify(text)}`);
  }
  return count;
}

/** An option that is a span of time, in ms. @throws UsageError that names the option and the value. */
export function durationOf(args: Arguments, option: string): number | undefined {
  const text = args.text(option);
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms === undefined) {
    throw new UsageError(`--${option} takes a span of time such as 30s, 10m or 24h, not ${JSON.stringify(text)}`);
  }
  return ms;
}

/** @throws UsageError that begins with `what`. */
export function parseJson(text: string, what: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (error) {
    throw new UsageError(`${what} is not JSON (${error instanceof Error ? error.message : String(error)})`, {
      cause: error,
    });
  }
}

/** @throws UsageError for text that is no channel name. */
export function channelOf(text: string | undefined): string {
  return named("channel", text, "chat:42");
}

/** As `channelOf`, where it is to be a queue. @throws UsageError */
export function queueOf(text: string | undefined): string {
  return named("queue", text, "jobs:resize");
}

function named(kind: string, text: string | undefined, example: string): string {
  if (text === undefined) throw new UsageError(`the ${kind} is missing, such as ${example}`);
  const flaw = checkChannel(text);
  if (flaw !== undefined) throw new UsageError(`${kind} ${JSON.stringify(text)} ${flaw}`);
  return text;
}

/** For a command that takes `most` words. @throws UsageError that names the first one too many. */
export function refuseMore({ words }: Arguments, most: number): void {
  const extra = words[most];
  if (extra !== undefined) throw new UsageError(`${JSON.stringify(extra)} is one word too many; quote what has spaces`);
}
