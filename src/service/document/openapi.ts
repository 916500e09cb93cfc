/**
 * The document of the service, OpenAPI 3.1: every route by the schemas that validate its requests
 * and hold its answers, and by the table of problems.
 *
 *   operations, schemas, STATUS ──> one JSON value ──> GET /openapi.json
 */

import * as z from "zod/mini";
import { type ProblemCode, STATUS } from "../problem.ts";
import { componentSchemas, schemaObject } from "./described.ts";
import { type Operation, OPERATIONS, PROBLEMS_OF_ALL } from "./operations.ts";

/** Of what routes take and answer: it grows when a client has to change. */
const API_VERSION = "1";

export function openApiDocument(): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of OPERATIONS) {
    const { path, method } = operation;
    paths[path] = { ...paths[path], [method]: operationObject(operation) };
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
    components: { schemas: componentSchemas() },
  };
}

function operationObject(operation: Operation): object {
  const { id, tag, summary, description, body, answer } = operation;
  const parameters = [
    ...parametersOf(operation.path_parameters, "path"),
    ...parametersOf(operation.query, "query"),
    ...parametersOf(operation.headers, "header"),
  ];
  return {
    operationId: id,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: jsonContent(schemaObject(body)) } }),
    responses: {
      200: { description: "Done.", content: jsonContent(schemaObject(answer)) },
      ...problemsOf(operation),
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
function problemsOf(operation: Operation): Record<string, object> {
  const { path, problems, others = {} } = operation;
  const codes = new Map<number, ProblemCode[]>();
  for (const code of new Set([...problems, ...PROBLEMS_OF_ALL])) {
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
    ...(status === 503 ? { headers: wait } : {}),
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
