/** Reads the configuration: the file, the environment, and what is wrong with either. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { LineCounter, parseDocument, type Document } from "yaml";
import type { z } from "zod";
import { configSchema, type Config, type ConfigInput } from "./config.ts";
import { withOwnVariables, withVariables, type Environment } from "./config-environment.ts";
import { ConfigError } from "./config-error.ts";
import { configJsonSchema, propertiesOf, schemaAt } from "./config-json-schema.ts";
import { nearest } from "./nearest.ts";

export const CONFIG_FILE = "todoku.yaml";

/** A configuration, and what it was made from. */
export interface ReadConfig {
  readonly config: Config;
  /** As it was written, with the environment put in: `parseConfig(input)` gives `config`. */
  readonly input: ConfigInput;
  /** The file that was read; absent if there is none. */
  readonly file?: string;
}

/** As `readConfig`, for those who want the configuration only. */
export function loadConfig(from: { file?: string; folder: string; env: Environment }): Config {
  return readConfig(from).config;
}

/**
 * Reads `file` (default: `todoku.yaml` in `folder`, if it is there), puts in `${VAR}` and the keys' own environment
 * variables, and checks everything.
 *
 * @throws ConfigError that lists every problem with its key, and its line where it stands in a file.
 */
export function readConfig({ file, folder, env }: { file?: string; folder: string; env: Environment }): ReadConfig {
  const standard = path.join(folder, CONFIG_FILE);
  const source = file === undefined ? (existsSync(standard) ? standard : undefined) : path.resolve(folder, file);
  const lines = new LineCounter();
  const document = source === undefined ? undefined : readDocument(source, lines);
  const problems: string[] = [];
  const values = document === undefined || source === undefined ? {} : (valuesOf(document, source) ?? {});
  const given = withVariables(values, env, problems);
  if (!isObject(given)) throw new ConfigError([`${source ?? "the configuration"} must hold keys and values`]);
  const input = withOwnVariables(given, env);
  const config = check(input, problems, (at) => placeOf(document, lines, at, source));
  return { config, input, ...(source !== undefined && { file: source }) };
}

/**
 * Checks a configuration that was written in code, after putting in what `env` (default: nothing) says about its keys.
 *
 * @throws ConfigError that lists every problem.
 */
export function parseConfig(input: ConfigInput, env: Environment = {}): Config {
  return check(withOwnVariables(input, env), [], () => "");
}

function readDocument(file: string, lineCounter: LineCounter): Document {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new ConfigError([`cannot read ${file} (${error instanceof Error ? error.message : String(error)})`], {
      cause: error,
    });
  }
  const document = parseDocument(text, { lineCounter, logLevel: "error" });
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map(({ message }) => `${file}: ${message}`));
  }
  return document;
}

/** The values of a file; an alias (`*name`) may point nowhere, to too much, or to what it stands in. */
function valuesOf(document: Document, file: string): unknown {
  try {
    const values: unknown = document.toJS();
    JSON.stringify(values);
    return values;
  } catch (error) {
    const [why = ""] = (error instanceof Error ? error.message : String(error)).split("\n");
    throw new ConfigError([`${file} has an alias that cannot be followed (${why}). Write out what it stands for`], {
      cause: error,
    });
  }
}

type Place = (at: readonly PropertyKey[]) => string;

function check(input: unknown, problems: readonly string[], place: Place): Config {
  const parsed = configSchema.safeParse(input);
  const found = parsed.success
    ? crossCheck(parsed.data)
    : parsed.error.issues.flatMap((issue) => describe(issue, place));
  const all = [...problems, ...found];
  if (all.length > 0 || !parsed.success) throw new ConfigError(all);
  return parsed.data;
}

/** Rules that concern several keys. */
function crossCheck({ auth, http, internal, production }: Config): string[] {
  const problems: string[] = [];
  if (production && auth.insecure) {
    problems.push(
      "auth.insecure is true and so is production. Set auth.jwt and auth.api_keys instead, or production to false",
    );
  }
  if (auth.jwt) {
    const sources = (["hmac", "jwks", "public_key"] as const).filter((key) => auth.jwt?.[key] !== undefined);
    if (sources.length !== 1) {
      problems.push(
        `auth.jwt has ${sources.length === 0 ? "no key" : sources.join(" and ")}. Set exactly one of hmac, jwks, public_key`,
      );
    }
    const shared = auth.jwt.hmac !== undefined;
    const wrong = (auth.jwt.algorithms ?? []).filter(
      (algorithm) => !(shared ? /^HS(256|384|512)$/ : /^(RS|PS|ES)(256|384|512)$|^EdDSA$/).test(algorithm),
    );
    if (wrong.length > 0) {
      problems.push(
        `auth.jwt.algorithms has ${wrong.join(", ")}, which does not go with ${shared ? "hmac. Use HS256, HS384 or HS512" : "public keys. Use RS256, PS256, ES256 or EdDSA"}`,
      );
    }
  }
  if (internal && internal.port === http.port && internal.port !== 0 && internal.host === http.host) {
    problems.push(`internal.port is ${internal.port}, and so is http.port. Give the internal listener another port`);
  }
  return problems;
}

function describe(issue: z.core.$ZodIssue, place: Place): string[] {
  const at = issue.path;
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(at);
    return issue.keys.map((key) => {
      const near = nearest(key, known);
      const hint = near === undefined ? `known here: ${known.join(", ")}` : `did you mean ${near}?`;
      return `${dotted([...at, key])} is unknown; ${hint}${place([...at, key])}`;
    });
  }
  return [`${dotted(at)}: ${lower(issue.message)}${place(at)}`];
}

/** The keys that the schema knows at a path. */
function keysAt(at: readonly PropertyKey[]): readonly string[] {
  const schema = schemaAt(configJsonSchema(), at);
  return schema ? Object.keys(propertiesOf(schema)) : [];
}

function placeOf(
  document: Document | undefined,
  lines: LineCounter,
  at: readonly PropertyKey[],
  file: string | undefined,
): string {
  const node = document?.getIn([...at], true);
  const range =
    typeof node === "object" && node !== null && "range" in node ? (node.range as [number] | undefined) : undefined;
  return range ? ` (${file}, line ${lines.linePos(range[0]).line})` : "";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function dotted(at: readonly PropertyKey[]): string {
  return at.length === 0 ? "the configuration" : at.map((key) => (key === "" ? '""' : String(key))).join(".");
}

function lower(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}
