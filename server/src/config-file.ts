/** Reads the configuration: the file, the environment, and what is wrong with either. */
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { LineCounter, parseDocument, type Document } from "yaml";
import { configSchema, type Config, type ConfigInput } from "./config.ts";
import { withOwnVariables, withVariables, type Environment } from "./config-environment.ts";
import { ConfigError } from "./config-error.ts";
import { describeIssue, dotted, lower, type Place } from "./config-problems.ts";

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
  // The library's own words would show the line, and with it the secret that may stand there.
  const document = parseDocument(text, { lineCounter, logLevel: "error", prettyErrors: false });
  if (document.errors.length > 0) {
    throw new ConfigError(
      document.errors.map(({ message, pos }) => `${file}, line ${lineCounter.linePos(pos[0]).line}: ${lower(message)}`),
    );
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

function check(input: unknown, problems: readonly string[], place: Place): Config {
  const parsed = configSchema.safeParse(input, { reportInput: true });
  const found = parsed.success
    ? crossCheck(parsed.data)
    : parsed.error.issues.flatMap((issue) => describeIssue(issue, place));
  const all = [...problems, ...prototypeKeys(input, [], place), ...found];
  if (all.length > 0 || !parsed.success) throw new ConfigError([...new Set(all)]);
  return parsed.data;
}

/** `__proto__` as a name is passed over by the schema's library, so it is looked for here. */
function prototypeKeys(value: unknown, at: readonly string[], place: Place, around: readonly unknown[] = []): string[] {
  // An alias in a variable may lead back to what it stands in.
  if (typeof value !== "object" || value === null || around.includes(value)) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const here = [...at, key];
    return key === "__proto__"
      ? [`${dotted(here)} is unknown; nothing can be called so${place(here)}`]
      : prototypeKeys(inner, here, place, [...around, value]);
  });
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
  const ids = auth.api_keys.map(({ id }) => id);
  const repeated = ids.filter((id, i) => ids.indexOf(id) < i);
  if (repeated.length > 0) {
    problems.push(`auth.api_keys has ${repeated.join(", ")} more than once. Give each key an id of its own`);
  }
  if (internal && internal.port === http.port && internal.port !== 0 && internal.host === http.host) {
    problems.push(`internal.port is ${internal.port}, and so is http.port. Give the internal listener another port`);
  }
  return problems;
}

function placeOf(
  document: Document | undefined,
  lines: LineCounter,
  at: readonly PropertyKey[],
  file: string | undefined,
): string {
  const node = document?.getIn([...at], true);
  // A missing key has no place: that of what it is missing in.
  if (document && node === undefined && at.length > 0) return placeOf(document, lines, at.slice(0, -1), file);
  const range =
    typeof node === "object" && node !== null && "range" in node ? (node.range as [number] | undefined) : undefined;
  return range ? ` (${file}, line ${lines.linePos(range[0]).line})` : "";
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
