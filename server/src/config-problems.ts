/** What is wrong with a configuration, in words: the key, its value and what it must be, and where it stands. */
import type { z } from "zod";
import { configJsonSchema, propertiesOf, schemaAt } from "./config-json-schema.ts";
import { redact } from "./redact.ts";
import { nearest } from "./nearest.ts";

/** Where a key stands, as ` (file, line 3)`; empty where that is not known. */
export type Place = (at: readonly PropertyKey[]) => string;

/** One line per problem. */
export function describeIssue(issue: z.core.$ZodIssue, place: Place): string[] {
  const at = issue.path;
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(at);
    // `__proto__` is told of by whoever looked for it.
    const unknown = issue.keys.filter((key) => key !== "__proto__");
    return unknown.map((key) => {
      const near = nearest(key, known);
      const hint = near === undefined ? `known here: ${known.join(", ")}` : `did you mean ${near}?`;
      return `${dotted([...at, key])} is unknown; ${hint}${place([...at, key])}`;
    });
  }
  return [`${dotted(at)}${valueOf(issue)} ${flawOf(issue)}${place(at)}`];
}

/** The value that is wrong, unless it may be a secret, is missing, or too much to show. */
function valueOf({ code, path: at, input }: z.core.$ZodIssue): string {
  const shown = code !== "invalid_key" && ["string", "number", "boolean"].includes(typeof input);
  if (!shown || at[0] === "auth" || schemaAt(configJsonSchema(), at)?.writeOnly) return "";
  const text = redact(String(input));
  return ` is ${typeof input === "string" ? JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text) : text}:`;
}

/** What is wrong, in words that follow the key. */
function flawOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined ? "is missing" : `must be ${EXPECTED[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `must be ${choice(issue.values.map(String))}`;
    case "invalid_union": {
      const choices = choicesAt(issue.path);
      return choices.length === 0 ? lower(issue.message) : `must be ${choice(choices)}`;
    }
    case "invalid_key":
      return "is no name: a-z, then a-z 0-9 _ -";
    case "too_small":
      return issue.origin === "string"
        ? `must have ${String(issue.minimum)} or more characters`
        : issue.origin === "array"
          ? `must have ${String(issue.minimum)} or more entries`
          : `must be ${String(issue.minimum)} or more`;
    case "too_big":
      return `must be ${String(issue.maximum)} or less`;
    case "invalid_format":
      return issue.format === "url" ? "must be a URL" : lower(issue.message);
    case "unrecognized_keys":
    case "invalid_element":
    case "not_multiple_of":
    case "custom":
      return lower(issue.message);
  }
}

const EXPECTED: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
  array: "a list",
  object: "keys and values",
  record: "keys and values",
};

/** The values that the variants of a choice have where they differ. */
function choicesAt(at: readonly PropertyKey[]): readonly string[] {
  const { oneOf = [] } = schemaAt(configJsonSchema(), at.slice(0, -1)) ?? {};
  const key = String(at.at(-1));
  return oneOf.flatMap(({ properties = {} }) => properties[key]?.const ?? []);
}

function choice(values: readonly string[]): string {
  return values.length < 2 ? values.join("") : `${values.slice(0, -1).join(", ")} or ${values.at(-1)}`;
}

/** The keys that the schema knows at a path. */
function keysAt(at: readonly PropertyKey[]): readonly string[] {
  const schema = schemaAt(configJsonSchema(), at);
  return schema ? Object.keys(propertiesOf(schema)) : [];
}

/** A path as it is written in the documentation. */
export function dotted(at: readonly PropertyKey[]): string {
  return at.length === 0 ? "the configuration" : at.map((key) => (key === "" ? '""' : String(key))).join(".");
}

export function lower(message: string): string {
  return message.charAt(0).toLowerCase() + message.slice(1);
}
