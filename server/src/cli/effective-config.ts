/** The configuration as it takes effect: every key with its value, written the way a file writes it. */
import type { ConfigInput } from "../config.ts";
import { configJsonSchema, type Schema } from "../config-json-schema.ts";
import { redact } from "../redact.ts";

const HIDDEN = "***";

/** `input` with every default filled in; a configuration that means the same. */
export function withDefaults(input: ConfigInput): Record<string, unknown> {
  return fill(input, configJsonSchema()) as Record<string, unknown>;
}

/** The same, with secrets and the passwords of URLs hidden. */
export function withoutSecrets(values: unknown): unknown {
  return hide(values, configJsonSchema());
}

function fill(value: unknown, schema: Schema): unknown {
  const given = value === undefined ? schema.default : value;
  if (Array.isArray(given)) return given.map((one) => (schema.items ? fill(one, schema.items) : (one as unknown)));
  if (!isRecord(given)) return given;
  const variant = variantOf(given, schema);
  const filled: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(variant.properties ?? {})) {
    const one = fill(given[key], inner);
    if (one !== undefined) filled[key] = one;
  }
  const rest = variant.additionalProperties;
  if (rest) {
    for (const [key, one] of Object.entries(given)) if (!Object.hasOwn(filled, key)) filled[key] = fill(one, rest);
  }
  return filled;
}

function hide(value: unknown, schema: Schema | undefined): unknown {
  if (schema?.writeOnly) return HIDDEN;
  if (typeof value === "string") return redact(value);
  if (Array.isArray(value)) return value.map((one) => hide(one, schema?.items));
  if (!isRecord(value)) return value;
  const variant = schema && variantOf(value, schema);
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [
      key,
      hide(one, variant?.properties?.[key] ?? (variant?.additionalProperties || undefined)),
    ]),
  );
}

/** Of a choice, the one whose `type` the value names. */
function variantOf(value: Readonly<Record<string, unknown>>, schema: Schema): Schema {
  const variants = schema.oneOf ?? schema.anyOf;
  return variants?.find((variant) => variant.properties?.["type"]?.const === value["type"]) ?? schema;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
