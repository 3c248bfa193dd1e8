/** The JSON Schema of the configuration: for editors, and for what walks through the keys. */
import { z } from "zod";
import { configSchema } from "./config.ts";

/** The parts of a JSON Schema that are looked at here. */
export interface Schema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  /** A secret: it goes in and is never shown. */
  readonly writeOnly?: boolean;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | false;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
}

/** The JSON Schema of `todoku.yaml`. */
export function configJsonSchema(): Schema {
  const schema = z.toJSONSchema(configSchema, { io: "input", unrepresentable: "any" });
  return { ...(schema as Schema), title: "todoku.yaml" };
}

/** The schema of what stands at a path; undefined where nothing is known. */
export function schemaAt(root: Schema, at: readonly PropertyKey[]): Schema | undefined {
  let here: Schema | undefined = root;
  for (const key of at) {
    if (!here) return undefined;
    const properties = propertiesOf(here);
    here =
      typeof key === "string" && Object.hasOwn(properties, key)
        ? properties[key]
        : here.additionalProperties || here.items;
  }
  return here;
}

/** The properties of an object, or of all variants of a choice. */
export function propertiesOf(schema: Schema): Readonly<Record<string, Schema>> {
  const variants = [schema, ...(schema.oneOf ?? schema.anyOf ?? [])];
  return Object.fromEntries(variants.flatMap(({ properties = {} }) => Object.entries(properties)));
}
