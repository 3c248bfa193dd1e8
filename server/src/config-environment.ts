/** What the environment says about the configuration: `${VAR}` in its texts, and variables of the keys' own. */
import { parseDocument } from "yaml";
import { configJsonSchema, schemaAt, type Schema } from "./config-json-schema.ts";

export interface Environment {
  readonly [name: string]: string | undefined;
}

/** A key that can be set from the environment. */
export interface EnvironmentKey {
  readonly name: string;
  readonly path: readonly string[];
}

/** Every single value of the schema outside of lists and named entries: `TODOKU_HTTP_PORT` is `http.port`. */
export function environmentKeys(root: Schema = configJsonSchema()): readonly EnvironmentKey[] {
  const walk = ({ properties, type }: Schema, at: readonly string[]): EnvironmentKey[] => {
    if (properties) return Object.entries(properties).flatMap(([key, inner]) => walk(inner, [...at, key]));
    return type === "object" ? [] : [{ name: `TODOKU_${at.join("_").toUpperCase()}`, path: at }];
  };
  return walk(root, []);
}

/** Replaces `${VAR}` and `${VAR:-standard}` in every text. A value that is nothing else may be a number, too. */
export function withVariables(given: unknown, env: Environment, problems: string[]): unknown {
  const root = configJsonSchema();
  const put = (value: unknown, at: readonly string[]): unknown => {
    if (Array.isArray(value)) return value.map((one, i) => put(one, [...at, String(i)]));
    if (isRecord(value))
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, put(one, [...at, key])]));
    if (typeof value !== "string" || !value.includes("${")) return value;
    const text = value.replaceAll(VARIABLE, (_, name: string, standard: string | undefined) => {
      const found = env[name] ?? standard;
      if (found === undefined) problems.push(`${at.join(".")} uses \${${name}}, which is not set in the environment`);
      return found ?? "";
    });
    return WHOLE_VARIABLE.test(value) ? valueOf(text, schemaAt(root, at)) : text;
  };
  return put(given, []);
}

/** The values of a configuration, with those over them that stand in variables of the keys' own. */
export function withOwnVariables(given: Readonly<Record<string, unknown>>, env: Environment): Record<string, unknown> {
  const root = configJsonSchema();
  const merged = structuredClone(given) as Record<string, unknown>;
  for (const { name, path } of environmentKeys(root)) {
    const text = env[name];
    if (text === undefined || text === "") continue;
    let here = merged;
    for (const key of path.slice(0, -1)) {
      const inner = here[key];
      const next = isRecord(inner) ? inner : {};
      here[key] = next;
      here = next;
    }
    here[path.at(-1) ?? ""] = valueOf(text, schemaAt(root, path));
  }
  return merged;
}

const VARIABLE = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}/g;
const WHOLE_VARIABLE = /^\$\{[^}]*\}$/;

/**
 * Numbers, booleans and lists are written as in YAML; what the schema wants as a text stays one, also if it looks like a
 * number. What cannot be read stays as it is: the schema says then what is wrong with it.
 */
function valueOf(text: string, schema: Schema | undefined): unknown {
  const types = [schema, ...(schema?.anyOf ?? [])].map((one) => one?.type ?? "");
  if (!types.some((type) => ["integer", "number", "boolean", "array"].includes(type))) return text;
  try {
    const document = parseDocument(text, { logLevel: "error" });
    return document.errors.length === 0 ? (document.toJS() as unknown) : text;
  } catch {
    // An alias that points nowhere.
    return text;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
