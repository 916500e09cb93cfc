import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { topologyOf } from "../src/app.ts";
import * as limits from "../src/log/kafka/limits.ts";
import { META_SPEC } from "../src/log/kafka/log-meta.ts";
import { TopicNames } from "../src/log/kafka/names.ts";
import { progressSpec } from "../src/log/kafka/progress-topic.ts";
import { declared } from "../src/log/kafka/topics.ts";
import { topicSpecs } from "../src/stream/topology.ts";
import { PROJECT_ROOT, sourceFiles } from "./house/source-files.ts";

const kafka = readFileSync(join(PROJECT_ROOT, "docs/kafka.md"), "utf8");

/** The cells of each row whose first cell holds names in code, by name. */
function rowsByName(markdown: string): ReadonlyMap<string, readonly string[]> {
  const rows = new Map<string, readonly string[]>();
  for (const line of markdown.split("\n")) {
    const cells = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
    if (cells[0] !== "" || cells.length < 3) continue;
    for (const [, name = ""] of (cells[1] ?? "").matchAll(/`([^`]+)`/g)) rows.set(name, cells);
  }
  return rows;
}

/** As the documents write it: 3 s, 250 ms, 16 MiB, 512,000 bytes, or a count. */
function valueText(name: string, value: number): string {
  if (name.endsWith("_MS")) return value % 1_000 === 0 ? `${value / 1_000} s` : `${value} ms`;
  if (!name.endsWith("_BYTES")) return String(value);
  if (value % 1_048_576 === 0) return `${value / 1_048_576} MiB`;
  if (value % 1_024 === 0 && value < 65_536) return `${value / 1_024} KiB`;
  return `${value.toLocaleString("en")} bytes`;
}

describe("docs/kafka.md", () => {
  const rows = rowsByName(kafka);

  test("has every limit of the adapter, with its value", () => {
    for (const [name, value] of Object.entries(limits)) {
      expect([name, rows.get(name)?.[2]]).toEqual([name, valueText(name, value)]);
    }
    const named = [...rows.keys()].filter((name) => /^[A-Z]+(_[A-Z]+)+$/.test(name));
    expect(named.filter((name) => !(name in limits))).toEqual([]);
  });

  test("has every topic, with its partitions and cleanup", () => {
    const topology = topologyOf(2);
    const specs = topicSpecs(topology, { partitions: 8, keepsChangelogs: true });
    const names = new TopicNames("");
    const own = topology.groups.map((group) => ({
      ...progressSpec(8),
      name: names.progress(group.name),
    }));
    for (const spec of [...specs, ...own, { ...META_SPEC, name: names.meta }]) {
      const { config, partitions } = declared(spec.name, spec);
      const count = partitions === 8 ? "P" : String(partitions);
      const [, , shownCount, cleanup] = rows.get(spec.name) ?? [];
      expect([spec.name, shownCount, cleanup]).toEqual([
        spec.name,
        count,
        config["cleanup.policy"] as string,
      ]);
    }
  });
});

test("the documents' links to the project's files and headings lead somewhere", () => {
  for (const { path, text } of sourceFiles("*.md", "docs/**/*.md")) {
    for (const [link, target = "", heading] of text.matchAll(/\]\(([^)#:]*)(?:#([^)]+))?\)/g)) {
      const file = target === "" ? path : join(dirname(path), target);
      const place = join(PROJECT_ROOT, file);
      expect([path, link, existsSync(place)]).toEqual([path, link, true]);
      if (heading === undefined) continue;
      expect([path, link, headingsOf(readFileSync(place, "utf8")).includes(heading)]).toEqual([
        path,
        link,
        true,
      ]);
    }
  }
});

/** As a reader of Markdown names them in links. */
function headingsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
    title.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-"),
  );
}
