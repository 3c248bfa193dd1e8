/** The reference of the configuration in Markdown, made from its schema. */
import { environmentKeys } from "../config-environment.ts";
import { configJsonSchema, type Schema } from "../config-json-schema.ts";

/** One section per top-level key, with a row per key in it. */
export function configReference(): string {
  const environment = new Map(environmentKeys().map(({ name, path }) => [path.join("."), name]));
  const { properties = {} } = configJsonSchema();
  const single = Object.entries(properties).filter(([, schema]) => !isGroup(schema));
  const groups = Object.entries(properties).filter(([, schema]) => isGroup(schema));
  return [
    "Every key has a default. An environment variable of a key's own wins over the file; `${VAR}` and `${VAR:-standard}` in " +
      "the file's texts are replaced from the environment. An unknown key is an error. Spans of time are written `250ms`, " +
      "`30s`, `10m`, `24h`, `7d`; sizes `512B`, `64KiB`, `1MiB`; rates `50/s`, `600/m` or `off`.",
    "",
    ...table(single.flatMap(([key, schema]) => rowsOf(schema, [key], environment))),
    ...groups.flatMap(([key, schema]) => sectionOf(key, schema, environment)),
  ].join("\n");
}

interface Row {
  readonly key: string;
  readonly value: string;
  readonly standard: string;
  readonly environment: string;
  readonly meaning: string;
}

function sectionOf(key: string, schema: Schema, environment: ReadonlyMap<string, string>): string[] {
  const named = schema.additionalProperties || undefined;
  const variants = (named ?? schema).oneOf ?? [];
  return [
    `## ${key}`,
    "",
    schema.description ?? "",
    "",
    ...(variants.length === 0
      ? table(rowsOf(named ?? schema, named ? [key, "NAME"] : [key], environment))
      : variants.flatMap((variant) => [
          `### ${key}: type ${variant.properties?.["type"]?.const ?? ""}`,
          "",
          variant.description ?? "",
          "",
          ...table(rowsOf(variant, [key, "NAME"], environment)),
        ])),
  ];
}

function rowsOf(schema: Schema, at: readonly string[], environment: ReadonlyMap<string, string>): Row[] {
  if (schema.properties) {
    const own = at.length > 1 && at.at(-1) !== "NAME" && schema.description !== undefined;
    return [
      ...(own ? [rowOf(schema, at, environment)] : []),
      ...Object.entries(schema.properties).flatMap(([key, inner]) => rowsOf(inner, [...at, key], environment)),
    ];
  }
  return [
    rowOf(schema, at, environment),
    ...(schema.items?.properties ? rowsOf(schema.items, [...at.slice(0, -1), `${at.at(-1)}[]`], environment) : []),
  ];
}

function rowOf(schema: Schema, at: readonly string[], environment: ReadonlyMap<string, string>): Row {
  return {
    key: at.join("."),
    value: valueOf(schema),
    standard: schema.default === undefined || schema.properties ? "" : JSON.stringify(schema.default),
    environment: environment.get(at.join(".")) ?? "",
    meaning: schema.description ?? "",
  };
}

function valueOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.enum) return schema.enum.map((one) => `\`${one}\``).join(" ");
  if (schema.anyOf) return [...new Set(schema.anyOf.map(valueOf))].join(" or ");
  if (schema.pattern?.includes("\\.\\.")) return "delays `1s..1m`";
  if (schema.pattern?.includes("ms|")) return "span of time";
  if (schema.pattern?.includes("KiB")) return "size";
  if (schema.pattern?.includes("\\/(s|m|h)")) return "rate";
  if (schema.type === "array") return schema.items?.properties ? "list" : "list of texts";
  if (schema.type === "object") return "keys";
  if (schema.type === "string") return schema.writeOnly ? "secret" : "text";
  return { boolean: "`true` `false`", integer: "whole number" }[schema.type ?? ""] ?? schema.type ?? "";
}

function table(rows: readonly Row[]): string[] {
  if (rows.length === 0) return [];
  const cell = (text: string): string => text.replaceAll("|", "\\|");
  const code = (text: string): string => (text === "" ? "" : `\`${cell(text)}\``);
  return [
    "| key | value | default | environment | meaning |",
    "| --- | --- | --- | --- | --- |",
    ...rows.map(
      ({ key, value, standard, environment, meaning }) =>
        `| ${code(key)} | ${cell(value)} | ${code(standard)} | ${code(environment)} | ${cell(meaning)} |`,
    ),
    "",
  ];
}

/** A key that holds keys. */
function isGroup({ type }: Schema): boolean {
  return type === "object";
}
