import { describe, expect, test } from "bun:test";
import { importCycles, importFaults, importsOf, layerOf } from "./import-rules.ts";
import { type SourceFile, sourceFiles } from "./source-files.ts";

const files = sourceFiles("src/**/*.ts");

describe("the layers", () => {
  test("no file imports what its layer may not", () => {
    expect(files.length).toBeGreaterThan(0);
    expect(importFaults(files)).toEqual([]);
  });

  test("no file imports itself through others", () => {
    expect(importCycles(files)).toEqual([]);
  });

  test("the engine and the log speak of no domain", () => {
    const engine = sourceFiles("{src,test}/{stream,log}/**/*.ts", "test/conformance/**/*.ts");
    expect(engine.length).toBeGreaterThan(0);
    expect(engine.flatMap(domainWords)).toEqual([]);
  });
});

describe("the import rules", () => {
  test("see values, types, re-exports and imports at run time", () => {
    const text = [
      'import { a } from "./a.ts";',
      'import type { B } from "./b.ts";',
      "import {",
      "  type C,",
      '} from "./c.ts";',
      'export type { D } from "./d.ts";',
      'const e = await import("./e.ts");',
      'import "./f.ts";',
      'import g, { type G } from "./g.ts";',
      "export type H = { type: string };",
    ].join("\n");
    expect(importsOf(text).map((path) => path[2])).toEqual([..."abcdefg"]);
  });

  test("know a domain by its folder", () => {
    expect(layerOf("src/withdrawals/withdrawals.ts")).toBe("domain");
    expect(layerOf("src/deposits/deposit.ts")).toBe("deposits");
    expect(layerOf("src/log/record-checksum.ts")).toBe("port");
    expect(layerOf("src/log/other/log.ts")).toBeNull();
    expect(layerOf("src/anything.ts")).toBeNull();
  });

  const refused: readonly [what: string, path: string, imported: string][] = [
    ["the port importing", "src/log/event-log.ts", "node:path"],
    ["money importing", "src/money.ts", "./other/rule.ts"],
    ["an adapter importing the other", "src/log/kafka/a.ts", "../embedded/log.ts"],
    ["the engine importing a domain", "src/stream/a.ts", "../other/rule.ts"],
    ["the engine importing an adapter", "src/stream/a.ts", "../log/embedded/log.ts"],
    ["a domain reading files", "src/collector/a.ts", "node:fs"],
    ["a domain importing another's rule", "src/collector/a.ts", "../other/rule.ts"],
    ["a domain importing the log", "src/collector/a.ts", "../log/embedded/log.ts"],
    ["the service opening a log", "src/service/a.ts", "../log/embedded/log.ts"],
    ["the proof using a domain", "src/proof/a.ts", "../other/rule.ts"],
    ["a command using a domain", "src/cli/a.ts", "../other/rule.ts"],
    ["a package that the layer has no use for", "src/stream/a.ts", "zod"],
    ["a file of another folder", "src/service/a.ts", "../other/page.js.gz"],
    ["a path without its .ts", "src/service/a.ts", "../other/rule"],
  ];
  const others: readonly SourceFile[] = [
    { path: "src/other/rule.ts", text: "export const r = 1;" },
    { path: "src/other/other.ts", text: "export const others: Stream<Other> = {};" },
    { path: "src/log/embedded/log.ts", text: "export const a = 1;" },
  ];
  test.each(refused)("refuse %s", (_what, path, imported) => {
    for (const kind of ["import", "import type"]) {
      const text = `${kind} { a } from "${imported}";`;
      expect(importFaults([...others, { path, text }])).toHaveLength(1);
    }
  });

  test("let a domain import the file with another's stream", () => {
    const text = 'import { others } from "../other/other.ts";';
    expect(importFaults([...others, { path: "src/collector/a.ts", text }])).toEqual([]);
  });

  test("let a module import a file beside it that goes into the executable", () => {
    const text = 'import page from "./page.js.gz" with { type: "file" };';
    expect(importFaults([{ path: "src/service/page/a.ts", text }])).toEqual([]);
  });

  test("name a cycle once", () => {
    const cycle = [
      { path: "src/stream/a.ts", text: 'import type { B } from "./b.ts";' },
      { path: "src/stream/b.ts", text: 'import { a } from "./a.ts";' },
    ];
    expect(importCycles(cycle)).toEqual(["src/stream/a.ts -> src/stream/b.ts -> src/stream/a.ts"]);
  });
});

function domainWords({ path, text }: SourceFile): string[] {
  return text.split("\n").flatMap((line, index) => {
    const word = /wallet|deposit|flag/i.exec(line);
    return word === null ? [] : [`${path}:${index + 1}: "${word[0]}" in: ${line.trim()}`];
  });
}
