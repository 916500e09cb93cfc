import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as z from "zod/mini";
import type { Service } from "../../../src/service/listening.ts";
import { openApiDocument } from "../../../src/service/document/openapi.ts";
import { type Operation, OPERATIONS } from "../../../src/service/document/operations.ts";
import { type Answer, ask, depositBody } from "../requests.ts";
import { type RunningApp, runApp, within } from "../running-app.ts";

interface ProblemSchema {
  readonly properties?: { readonly code: { readonly enum?: unknown[]; readonly const?: unknown } };
}
interface DocumentedOperation {
  readonly responses: Record<string, { content: Record<string, { schema: ProblemSchema }> }>;
  readonly parameters?: readonly {
    readonly name: string;
    readonly in: string;
    readonly required: boolean;
    readonly description?: string;
  }[];
}
const documented = openApiDocument({ hasKeys: false, hidesFlags: false }) as {
  paths: Record<string, Record<string, DocumentedOperation>>;
  components: { schemas: Record<string, object> };
};

let running: RunningApp;
let service: Service;
/** Of a settled deposit each: the others' would be waited for. */
const positions: string[] = [];

beforeAll(async () => {
  running = await runApp();
  service = running.app.createService({ allowHosts: [] });
  for (const [id, amount] of [["alice", "20000"], ["bob", "1"], ["ü/é", "12.5"]] as const) {
    const answer = await ask(service, "POST /deposit", depositBody(id, amount));
    positions.push((answer.json as { position: string }).position);
  }
  await running.settle();
});
afterAll(() => running.close());

describe("the document", () => {
  test("is what /openapi.json answers", async () => {
    const answer = await ask(service, "GET /openapi.json");
    expect(answer.headers.get("content-type")).toBe("application/json");
    expect(answer.json).toEqual(documented);
  });

  test("has no reference that leads nowhere, and names nothing twice", () => {
    const text = JSON.stringify(documented);
    const names = [...text.matchAll(/"\$ref":"([^"]*)"/g)].map(([, reference]) => reference);
    expect(names.length).toBeGreaterThan(5);
    const known = Object.keys(documented.components.schemas);
    const unknown = names.filter((name) => !known.some((each) => name?.endsWith(`/${each}`)));
    expect(unknown).toEqual([]);
    expect(text).not.toMatch(/"\$(id|defs|schema)"/);
    const ids = OPERATIONS.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("says how long a read waits, also where customers are not told of flags", () => {
    const waitsIn = (hidesFlags: boolean, path: string) => {
      const { paths } = openApiDocument({ hasKeys: false, hidesFlags }) as typeof documented;
      const all = paths[path]?.["get"]?.parameters ?? [];
      return /until (.*)\.$/.exec(all.find(({ name }) => name === "after")?.description ?? "")?.[1];
    };
    const settled = "everything that this deposit causes can be read";
    for (const path of ["/check/{wallet_id}", "/{wallet_id}/feed", "/wallets/{wallet_id}"]) {
      expect([path, waitsIn(false, path)]).toEqual([path, settled]);
      expect([path, waitsIn(true, path)]).toEqual([path, "this deposit is counted"]);
    }
    expect(waitsIn(true, "/flags/{wallet_id}")).toBe(settled);
  });

  test("says of every time that is asked for which numbers are none", () => {
    const all = documented.paths["/flags"]?.["get"]?.parameters ?? [];
    for (const time of ["from", "to"]) {
      const description = all.find(({ name }) => name === time)?.description;
      expect(description).toContain("9 or 10 digits, which would be seconds, are refused");
    }
  });

  test("has only routes that are there, with all the names in their paths", async () => {
    for (const { method, path } of OPERATIONS) {
      const { headers } = await ask(service, `OPTIONS ${path.replace("{wallet_id}", "a")}`);
      const methods = headers.get("allow")?.split(", ") ?? [];
      expect([path, ...methods]).toContain(method.toUpperCase());
      const inPath = documented.paths[path]?.[method]?.parameters?.filter((one) => one.required);
      expect((inPath ?? []).map(({ name }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g) ?? []);
    }
  });
});

const text = fc.string({ unit: "binary", maxLength: 140 }).map((each) => each.toWellFormed());
const walletId = fc.oneof(fc.constantFrom("alice", "bob", "ü/é", "nobody", "feed", ""), text);
const whole = fc.integer({ min: -1, max: 1_100 }).map(String);
/** Never a position that no deposit has: it would be waited for. */
const after = fc.oneof(
  fc.constantFrom(...["0-x", "", "3", "-1-2"]),
  text.map((each) => `x${each}`),
  fc.nat(2).map((i) => positions[i] as string),
);
const VALUES: Readonly<Record<string, fc.Arbitrary<string>>> = {
  state: fc.constantFrom("flagged", "removed", "any", "open"),
  from: fc.oneof(fc.constantFrom("2026-01-31T12:00:00Z", "0", "2026-13-01T00:00:00Z"), text),
  to: fc.oneof(fc.constantFrom("2026-02-01T12:00:00+01:00", "9999999999999999"), text),
  limit: fc.oneof(whole, text),
  cursor: fc.oneof(walletId.map((id) => Buffer.from(id).toString("base64url")), text),
  before_episode: fc.oneof(whole, text),
  after,
};
const query = fc.dictionary(fc.constantFrom(...Object.keys(VALUES), "other"), text, {
  maxKeys: 1,
});
const amount = fc.oneof(
  fc.constantFrom('"12.50"', "1", "0", "1e3", "1.005", "-1", "null"),
  fc.json({ maxDepth: 1 }),
);
const depositText = fc
  .tuple(walletId, amount)
  .map(([id, value]) => `{"wallet_id":${JSON.stringify(id)},"amount":${value}}`);
const goodAction = fc.oneof(
  fc.record({ action: fc.constant("add"), actor: fc.constant("ana") }),
  fc.record({
    action: fc.constant("remove"),
    actor: fc.constant("ana"),
    reason: fc.constant("salary"),
    seen_event: fc.nat(2),
  }),
);
const action = fc.record(
  {
    action: fc.constantFrom("add", "remove", "other"),
    actor: fc.oneof(fc.constant("ana"), text, fc.constant(5)),
    reason: fc.oneof(fc.constant("salary"), text),
    seen_event: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.double(), text),
    other: fc.constant(1),
  },
  { requiredKeys: ["action", "actor"] },
);
const actionText = fc.oneof(goodAction, action).map((each) => JSON.stringify(each));
/** Most are of the operation's own shape: another's says little of it. */
const bodyOf = ({ id }: Operation) =>
  fc.oneof(
    { weight: 3, arbitrary: id === "act-on-flag" ? actionText : depositText },
    { weight: 1, arbitrary: fc.oneof(actionText, depositText, fc.json(), text) },
  );
const GOOD_BODIES = ['{"wallet_id":"alice","amount":1}', '{"action":"add","actor":"ana"}'];

/** Tried first: one that is taken and one that is not, by construction and not by chance. */
function examplesOf({ id, path: template }: Operation) {
  const path = template.replace("{wallet_id}", "alice");
  const body = GOOD_BODIES[id === "act-on-flag" ? 1 : 0] as string;
  return [
    [{ path, query: {}, body, key: null }],
    [{ path, query: { other: "1" } as Record<string, string>, body: "", key: "" }],
  ] satisfies [object][];
}

function requestOf(operation: Operation) {
  const { path, query: known } = operation;
  const names = Object.keys(known?.shape ?? {});
  const wanted = fc.record(
    Object.fromEntries(names.map((name) => [name, VALUES[name] ?? text])),
    { requiredKeys: [] },
  );
  const key = fc.option(fc.stringMatching(/^[ -~]{0,20}$/));
  return fc.record({
    path: walletId.map((id) => path.replace("{wallet_id}", () => encodeURIComponent(id))),
    query: fc.oneof({ weight: 4, arbitrary: wanted }, { weight: 1, arbitrary: query }),
    body: bodyOf(operation),
    key,
  });
}

describe("whatever is asked, the answer is one that the document knows:", () => {
  test.each(OPERATIONS.map((each) => [each.id, each] as const))("%s", async (_id, operation) => {
    const { method, path } = operation;
    const statuses = new Set<number>();
    await fc.assert(
      fc.asyncProperty(requestOf(operation), async (request) => {
        const search = new URLSearchParams(request.query as Record<string, string>).toString();
        const line = `${method.toUpperCase()} ${request.path}${search === "" ? "" : `?${search}`}`;
        const headers = request.key === null ? {} : { "idempotency-key": request.key };
        const sent = method === "post" ? { body: request.body, headers } : {};
        const answer = await within(ask(service, line, sent));
        statuses.add(answer.status);
        // An empty name makes another path of it.
        if (!request.path.startsWith("//")) check(answer, operation);
      }),
      { numRuns: 150, examples: examplesOf(operation) },
    );
    expect([...statuses]).toContain(200);
    if (path !== "/readyz" && path !== "/healthz") expect([...statuses]).toContain(422);
  });
});

/** Throws what is not as documented. */
function check(answer: Answer, { method, path, answer: schema }: Operation): void {
  const responses = documented.paths[path]?.[method]?.responses ?? {};
  const response = responses[answer.status];
  expect(Object.keys(responses)).toContain(String(answer.status));
  expect(answer.status).toBeLessThan(500);
  expect(answer.headers.get("content-type")).toBe("application/json");
  if (answer.status === 200) {
    const read = z.safeParse(schema, answer.json);
    expect(read.success ? [] : read.error.issues).toEqual([]);
    return;
  }
  const { enum: codes, const: code } =
    response?.content["application/json"]?.schema.properties?.code ?? {};
  expect(Object.keys(answer.json as object)).toEqual(["error", "code"]);
  expect(codes ?? [code]).toContain((answer.json as { code: unknown }).code);
}
