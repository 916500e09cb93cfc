/**
 * The document of the service, OpenAPI 3.1: every route by the schemas that validate its requests
 * and hold its answers, and by the table of problems.
 *
 *   operations, schemas, STATUS ──> one JSON value ──> GET /openapi.json
 *
 * Not by @hono/zod-openapi, which documents what its own router validates with the whole of zod: a
 * plain GET /check is answered before any router, and zod/mini loads sooner.
 */

import * as z from "zod/mini";
import { reachOf } from "../admission.ts";
import { type ProblemCode, STATUS } from "../problem.ts";
import { FLAG_TELLING, WITHOUT_FLAG } from "./answers.ts";
import { componentSchemas, schemaObject } from "./described.ts";
import {
  type Operation,
  OPERATIONS,
  PROBLEMS_OF_ALL,
  PROBLEMS_OF_KEYS,
  QUERY_WITHOUT_FLAG,
} from "./operations.ts";

/** Of what routes take and answer: it grows when a client has to change. */
const API_VERSION = "1";

/** How the service runs that it is of. */
export interface DocumentOptions {
  /** Requests are asked for a key. */
  readonly hasKeys: boolean;
  /** Customers are not told whether a wallet is above the threshold. */
  readonly hidesFlags: boolean;
}

export function openApiDocument(options: DocumentOptions): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATIONS) {
    const { path, method } = operation;
    paths[path] = { ...paths[path], [method]: operationObject(operation, options) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Depositaja",
      version: API_VERSION,
      description:
        "Takes wallet deposits, keeps exact balances, and flags a wallet the moment its deposits " +
        "exceed a limit in any rolling window.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/" }],
    tags: [
      { name: "customers", description: "Deposits and balances." },
      { name: "operators", description: "Flags: who, why, and what was done about it." },
      { name: "service", description: "For whoever looks after it." },
    ],
    paths,
    components: componentsOf(options),
  };
}

function componentsOf({ hasKeys, hidesFlags }: DocumentOptions): object {
  const isTold = ([name]: [string, object]) => !hidesFlags || !FLAG_TELLING.has(name);
  const schemas = Object.fromEntries(Object.entries(componentSchemas()).filter(isTold));
  if (!hasKeys) return { schemas };
  const description = "A key of `depositaja keys create`, with the scope of the route or above.";
  const key = { type: "http", scheme: "bearer", description };
  return { schemas, securitySchemes: { [KEY]: key } };
}

const KEY = "key";

function operationObject(operation: Operation, { hasKeys, hidesFlags }: DocumentOptions): object {
  const { id, tag, summary, description, body } = operation;
  const answer = (hidesFlags ? WITHOUT_FLAG.get(operation.answer) : null) ?? operation.answer;
  const query = (hidesFlags ? QUERY_WITHOUT_FLAG.get(operation.query) : null) ?? operation.query;
  const asks = hasKeys && reachOf(operation.path) !== "open";
  const parameters = [
    ...parametersOf(operation.path_parameters, "path"),
    ...parametersOf(query, "query"),
    ...parametersOf(operation.headers, "header"),
  ];
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(asks ? { security: [{ [KEY]: [] }] } : {}),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: jsonContent(schemaObject(body)) } }),
    responses: {
      200: { description: "Done.", content: jsonContent(schemaObject(answer)) },
      ...problemsOf(operation, asks),
    },
  };
}

function parametersOf(shape: z.ZodMiniObject | undefined, where: string): object[] {
  return Object.entries(shape?.shape ?? {}).map(([name, schema]) => {
    const { description, ...rest } = schemaObject(schema as z.core.$ZodType) as {
      description?: string;
    };
    const required = !(schema instanceof z.ZodMiniOptional);
    return { name, in: where, required, ...(description ? { description } : {}), schema: rest };
  });
}

/** Every status by the codes that have it. */
function problemsOf(operation: Operation, asks: boolean): Record<string, object> {
  const { path, problems, others = {} } = operation;
  const codes = new Map<number, ProblemCode[]>();
  const ofKeys = asks ? PROBLEMS_OF_KEYS : [];
  for (const code of new Set([...problems, ...PROBLEMS_OF_ALL, ...ofKeys])) {
    codes.set(STATUS[code], [...(codes.get(STATUS[code]) ?? []), code]);
  }
  const plain = [...codes].sort(([a], [b]) => a - b).map(([status, all]) => {
    const schema = path.startsWith("/api/") ? numberedProblem(status) : codedProblem(all);
    return [String(status), problemObject(status, { description: textOf(all), schema })] as const;
  });
  const other = Object.entries(others).map(
    ([status, told]) => [status, problemObject(Number(status), told)] as const,
  );
  return Object.fromEntries([...plain, ...other]);
}

function problemObject(
  status: number,
  { description, schema }: { readonly description: string; readonly schema: z.core.$ZodType },
): object {
  const wait = { "Retry-After": { schema: { type: "integer" }, description: "Seconds." } };
  return {
    description,
    ...(status === 503 || status === 429 ? { headers: wait } : {}),
    content: jsonContent(schemaObject(schema)),
  };
}

function codedProblem(codes: readonly ProblemCode[]): z.core.$ZodType {
  return z.strictObject({ error: z.string(), code: z.enum(codes) });
}

function numberedProblem(status: number): z.core.$ZodType {
  return z.strictObject({ error: z.string(), code: z.literal(status) });
}

function textOf(codes: readonly ProblemCode[]): string {
  return codes.map((code) => `\`${code}\``).join(", ");
}

function jsonContent(schema: object): object {
  return { "application/json": { schema } };
}
