/** Metrics of the running program, and what is shipped to look at them with. */

import { Database } from "bun:sqlite";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Family, readExposition, total } from "../service/exposition.ts";
import { PROJECT_ROOT, Running, run, temporaryFolder, until } from "./program.ts";
import { post } from "./session.ts";

const TEST_MS = 60_000;
type Families = ReadonlyMap<string, Family>;

async function scrape(url: string): Promise<Families> {
  const response = await fetch(`${url}/metrics`);
  expect(response.status).toBe(200);
  return readExposition(await response.text());
}

const sum = (families: Families, name: string, labels: Readonly<Record<string, string>> = {}) =>
  total(families, `depositaja_${name}`, labels);

const folder = temporaryFolder();
const options = { folder: folder.path };
const HISTORY = `wallet_id,amount,accepted_at,id
alice,6000,2026-01-31T12:00:00Z,first
alice,4000.01,2026-01-31T12:01:59Z,second
alice,1,2026-01-31T12:00:30Z,late
bob,1,2026-01-31T12:00:00Z,b
bob,1,2026-01-31T11:00:00Z,c
`;
let up: Running;
let url: string;
let scraped: Families;

beforeAll(async () => {
  await Bun.write(join(folder.path, "history.csv"), HISTORY);
  up = new Running(options, "up", "--port", "0");
  url = await up.serves();
  expect(await run(options, "import", "history.csv")).toMatchObject({ code: 0 });
  await post(url, '{"wallet_id": "carol", "amount": 20000}');
  await post(url, '{"wallet_id": "carol", "amount": -1}');
  await until(async () => {
    scraped = await scrape(url);
    return sum(scraped, "flags_raised_total") === 2 && sum(scraped, "lag_records") === 0;
  }, () => JSON.stringify([...scraped.values()].map(({ samples }) => samples.length)));
}, TEST_MS);
afterAll(async () => {
  await up[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

test("up tells of requests, of its processors' thread, of the log and of the disk", () => {
  const deposits = { route: "/deposit", method: "POST" };
  expect(sum(scraped, "http_requests_total", { ...deposits, status: "200" })).toBe(1);
  expect(sum(scraped, "http_requests_total", { ...deposits, status: "422" })).toBe(1);
  expect(sum(scraped, "http_request_duration_seconds_count", deposits)).toBe(1);
  expect(sum(scraped, "late_deposits_total")).toBe(2);
  expect(sum(scraped, "flagged_wallets")).toBe(2);
  expect(sum(scraped, "commit_records_sum", { group: "balance" })).toBe(6);
  expect(sum(scraped, "commits_total", { outcome: "fenced" })).toBe(0);
  expect(sum(scraped, "tasks", { phase: "running" })).toBe(24);
  expect(sum(scraped, "partition_owned")).toBe(24);
  expect(sum(scraped, "disk_bytes", { what: "log" })).toBeGreaterThan(4_096);
  expect(sum(scraped, "disk_bytes", { what: "tables" })).toBeGreaterThan(4_096);
  expect(sum(scraped, "disk_free_bytes")).toBeGreaterThan(0);
  expect(sum(scraped, "ready")).toBe(1);
});

test("process --health serves them too; sums go on where the last process left them", async () => {
  using other = temporaryFolder();
  const there = { folder: other.path };
  await Bun.write(join(other.path, "history.csv"), HISTORY);
  expect(await run(there, "import", "history.csv")).toMatchObject({ code: 0 });
  await using processing = new Running(there, "process", "--all", "--health", "127.0.0.1:0");
  const health = await processing.says(/^health +(http:\S+)\/readyz$/m);
  await processing.says(/processing/);
  const data = join(other.path, "depositaja-data");
  let families = await scrape(health);
  await until(async () => {
    families = await scrape(health);
    return sum(families, "tasks", { phase: "running" }) === 24;
  }, () => JSON.stringify([...(families.get("depositaja_tasks")?.samples ?? [])]));
  expect(sum(families, "late_deposits_total")).toBe(2);
  expect(sum(families, "commits_total")).toBe(0);
  expect(families.get("depositaja_deposits_waiting")?.samples).toEqual([]);
  const status = await run(there, "status", "--json");
  const lines = status.out.trim().split("\n").map((line) => JSON.parse(line) as { late: unknown });
  expect(lines.reduce((all, line) => all + Number(line.late), 0)).toBe(2);
  const told = (await run(there, "status")).out;
  expect(told).toContain("detector (threshold): all is done, 2 came late");
  expect((await processing.stop()).code).toBe(0);

  // What an older program has begun has no sums: they would not be all.
  const partition = lines.findIndex((line) => Number(line.late) > 0) % 8;
  const progress = () => {
    using log = new Database(join(data, "log.db"));
    return log.query("UPDATE progress SET progress = json_remove(progress, '$.counts')").run();
  };
  expect(progress().changes).toBeGreaterThan(0);
  const older = await run(there, "status", "--json");
  expect(JSON.parse(older.out.split("\n")[8 + partition] as string)).toMatchObject({
    ...{ group: "threshold", partition, late: null, counts: null },
  });
}, TEST_MS);

test("an address that other machines reach is refused without keys", async () => {
  const refused = await run(options, "process", "--all", "--health", "0.0.0.0:0");
  expect(refused).toMatchObject({ code: 2 });
  expect(refused.err).toContain("--health 0.0.0.0 lets other machines in");
}, TEST_MS);

describe("docs/operations.md", () => {
  const operations = readFileSync(join(PROJECT_ROOT, "docs/operations.md"), "utf8");
  const rows = new Map(
    [...operations.matchAll(/^\| `(depositaja_\w+)` \| (\w+) \| (.*?) \| (.*) \|$/gm)].map(
      ([, name = "", ...cells]) => [name, cells],
    ),
  );

  test("has every metric, with type, labels and meaning as the program prints them", () => {
    expect([...rows.keys()]).toEqual([...scraped.keys()]);
    for (const { name, type, help, samples } of scraped.values()) {
      const labels = new Set(samples.flatMap((sample) => [...sample.labels.keys()]));
      labels.delete("le");
      const shown = labels.size === 0 ? "-" : [...labels].join(", ");
      expect([name, rows.get(name)]).toEqual([name, [type, shown, help]]);
    }
  });

  test("says what to do for each alert", () => {
    const titles = [...operations.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) => title);
    const headings = new Set(
      titles.map((title) => title.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-")),
    );
    for (const { alert, annotations } of alerts) {
      const [file, heading] = (annotations["runbook"] ?? "").split("#");
      expect([alert, file, headings.has(heading as string)]).toEqual([
        ...[alert, "docs/operations.md", true],
      ]);
    }
  });
});

interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}
const file = (name: string) => readFileSync(join(PROJECT_ROOT, "deploy", name), "utf8");
const { alerts } = (() => {
  const { groups } = Bun.YAML.parse(file("alerts.yaml")) as { groups: { rules: Alert[] }[] };
  return { alerts: groups.flatMap(({ rules }) => rules) };
})();

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}
const { panels } = JSON.parse(file("grafana-dashboard.json")) as { panels: readonly Panel[] };
const asked = [
  ...alerts.map(({ alert, expr }) => [alert, expr] as const),
  ...panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => [title, expr] as const),
  ),
];

describe("alerts and dashboard", () => {
  test("ask for metrics that the program tells, by labels that these have", () => {
    expect(asked.length).toBeGreaterThan(50);
    const labelsOf = new Map<string, Set<string>>();
    for (const { samples } of scraped.values()) {
      for (const { name, labels } of samples) {
        labelsOf.set(name, new Set([...(labelsOf.get(name) ?? []), ...labels.keys()]));
      }
    }
    for (const [who, expr] of asked) {
      const metrics = [...expr.matchAll(/\b(depositaja_\w+)(?:\{([^}]*)\})?/g)];
      expect([who, metrics.length]).not.toEqual([who, 0]);
      for (const [, name = "", matchers = ""] of metrics) {
        expect([who, name, labelsOf.has(name)]).toEqual([who, name, true]);
        for (const [, label = ""] of matchers.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)) {
          const isKnown = label === "instance" || labelsOf.get(name)?.has(label);
          expect([who, name, label, isKnown]).toEqual([who, name, label, true]);
        }
      }
      const own = metrics.flatMap(([, name = ""]) => [...(labelsOf.get(name) ?? [])]);
      const known = new Set(["instance", ...own]);
      for (const [, names = ""] of expr.matchAll(/\bby \(([^)]*)\)/g)) {
        for (const label of names.split(", ")) {
          expect([who, label, known.has(label)]).toEqual([who, label, true]);
        }
      }
      expect([who, count(expr, "(") + count(expr, "{") + count(expr, "[")]).toEqual([
        ...[who, count(expr, ")") + count(expr, "}") + count(expr, "]")],
      ]);
    }
  });

  test("each alert has a name of its own, a severity and a summary of labels that it has", () => {
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
    for (const { alert, expr, labels, annotations } of alerts) {
      expect(labels["severity"]).toMatch(/^(page|ticket)$/);
      for (const [, label = ""] of (annotations["summary"] ?? "").matchAll(/\$labels\.(\w+)/g)) {
        const isGrouped = new RegExp(`by \\([^)]*\\b${label}\\b`).test(expr);
        const isKept = isGrouped || !/\bby \(/.test(expr);
        expect([alert, label, isKept]).toEqual([alert, label, true]);
      }
      expect([alert, annotations["summary"]]).not.toEqual([alert, undefined]);
    }
  });
});

function count(text: string, what: string): number {
  return text.split(what).length - 1;
}
