/**
 * Words and names of schemas, for the document: what a schema validates is its own, what it means
 * stands here.
 *
 *   schema ──described, named──> registry ──z.toJSONSchema──> JSON Schema 2020-12
 */

import * as z from "zod/mini";

export interface Description {
  /** Its name among the document's components. */
  readonly id?: string;
  readonly description?: string;
  readonly [keyword: string]: unknown;
}

type Schema = z.core.$ZodType;

const descriptions = z.registry<Description>();

/** The schema itself. `keywords`: what validation leaves to code, as JSON Schema says it. */
export function described<S extends Schema>(
  schema: S,
  description: string,
  keywords: Readonly<Record<string, unknown>> = {},
): S {
  descriptions.add(schema, { ...descriptions.get(schema), description, ...keywords });
  return schema;
}

export function named<S extends Schema>(id: string, schema: S): S {
  descriptions.add(schema, { ...descriptions.get(schema), id });
  return schema;
}

/** Of every named schema. */
export function componentSchemas(): Record<string, object> {
  const { schemas } = z.toJSONSchema(descriptions, { ...OPTIONS, uri: referenceTo });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, schema]) => [name, withoutIdentity(schema)]),
  );
}

/** A schema in its place in the document: a reference when it has a name. */
export function schemaObject(schema: Schema): object {
  const { id } = descriptions.get(schema) ?? {};
  if (id !== undefined) return { $ref: referenceTo(id) };
  const whole = z.toJSONSchema(schema, OPTIONS);
  return withoutIdentity(withReferences(whole) as object);
}

/** A client's number arrives as its source text: see the deposit's body. */
const OPTIONS = {
  metadata: descriptions,
  io: "input",
  unrepresentable: () => ({ type: "number" as const }),
} as const;

function referenceTo(id: string): string {
  return `#/components/schemas/${id}`;
}

/** The document says once which JSON Schema it is, and references go by their place in it. */
function withoutIdentity(schema: object): object {
  const isKept = ([key]: [string, unknown]) => !["$schema", "$id", "$defs"].includes(key);
  return Object.fromEntries(Object.entries(schema).filter(isKept));
}

/** A schema on its own keeps what has a name in `$defs`. */
function withReferences(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withReferences);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) =>
      key === "$ref" && typeof each === "string"
        ? [key, each.replace("#/$defs/", referenceTo(""))]
        : [key, withReferences(each)],
    ),
  );
}
