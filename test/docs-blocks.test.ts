/** The examples of docs/, typed one after another by one reader: http.md's session comes first. */

import { afterAll, describe, expect, test } from "bun:test";
import { copyFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { PROGRAM, run } from "./end-to-end/program.ts";
import { PROJECT_ROOT, sourceFiles } from "./house/source-files.ts";
import { makeCertificates } from "./kafka/certificates.ts";
import { type ReadmeBlock, readmeBlocks, showsOutput } from "./readme/readme-blocks.ts";
import { BLOCK_DEADLINE_MS, ReadmeWorkspace } from "./readme/readme-workspace.ts";

const SESSION = "docs/http.md";
const docs = sourceFiles("docs/**/*.md").sort(
  (one, other) => Number(other.path === SESSION) - Number(one.path === SESSION),
);

/** What a reader has or waits for, and what stands in for it here. */
const STAND_INS: readonly (readonly [string, string])[] = [
  ["10.0.0.7", "127.0.0.1"],
  ["deposits.example.org", "localhost"],
  ["depositaja load ", "depositaja load --duration 200ms --warm-up 0s "],
  ["simulate --minutes 10", "simulate --minutes 0.02"],
];

/** What operations.md drops as 3-1: another team used an id twice, beside http.md's session. */
const OTHER_TEAM = `
\`\`\`sh
depositaja deposit mallory 1 --id trial
depositaja deposit mallory 2 --id trial || true
\`\`\`
`;

let opened: Promise<ReadmeWorkspace> | null = null;

async function open(): Promise<ReadmeWorkspace> {
  const workspace = await ReadmeWorkspace.open({
    projectRoot: PROJECT_ROOT,
    files: sourceFiles("{src,test,bench,proto,patches}/**/*", "*").map(({ path }) => path),
    bunVersion: Bun.version,
    program: PROGRAM,
  });
  const made = join(workspace.folder, "certificates");
  await makeCertificates(made);
  const files = { "broker.crt": "server.crt", "broker.key": "server.key", "ca.crt": "ca.crt" };
  for (const [from, to] of Object.entries(files)) {
    copyFileSync(join(made, from), join(workspace.folder, to));
  }
  return workspace;
}

afterAll(async () => (await opened)?.close(), BLOCK_DEADLINE_MS);

/** What the block printed. */
async function printedBy(block: ReadmeBlock): Promise<string> {
  opened ??= open();
  return (await opened).run({ ...block, text: withStandIns(block.text) });
}

for (const { path, text } of docs) {
  describe(`${path}'s blocks do what it says`, () => {
    let printed = "";
    for (const block of readmeBlocks(path === SESSION ? text + OTHER_TEAM : text)) {
      const title = `line ${block.line}: ${block.text.trim().split("\n")[0]}`;
      if (block.kind === "no-run") {
        test(`${title} (not run: ${block.reason})`, () => expectTypeable(block.text));
      } else if (block.kind === "output") {
        test(`${title} (shown as output)`, () => expectShown(block.text, printed));
      } else {
        test(title, async () => void (printed = await printedBy(block)), 4 * BLOCK_DEADLINE_MS);
      }
    }
  });
}

describe("the documents", () => {
  test.each(docs)("$path has no command outside the blocks that are run", ({ text }) => {
    const blocks = readmeBlocks(text);
    const typed = blocks.filter(({ kind }) => kind !== "output" && kind !== "program");
    // Fenced in any way, at any depth: more than the blocks that are known above.
    const fences = [...text.matchAll(/^[ \t>]*(?:`{3,}|~{3,}) *(?:sh|bash|shell|console|zsh)\b/gm)];
    expect(typed.map(({ line }) => line)).toEqual(
      fences.map(({ index }) => text.slice(0, index).split("\n").length),
    );
    expect(blocks.filter(({ needsBroker }) => needsBroker)).toEqual([]); // there is none here
    const rest = typed.reduce((left, block) => left.replace(block.text, ""), text);
    expect(rest.match(/^[ \t>$#]*(?:depositaja|curl|npx|bun|sudo) .*$/gm) ?? []).toEqual([]);
  });

  test("name only commands, options, scripts and files of deploy/ that there are", async () => {
    for (const { path, text } of docs) {
      for (const [, line = ""] of text.matchAll(/`([^`\n]*\bdepositaja [^`]+)`/g)) {
        expect([path, line, await misnamed(line)]).toEqual([path, line, []]);
      }
      expect([path, missingFiles(text)]).toEqual([path, []]);
      const scripts = [...text.matchAll(/\bbun run ([a-z-]+)/g)].map(([, name = ""]) => name);
      expect([path, scripts.filter((name) => !(name in manifest.scripts))]).toEqual([path, []]);
    }
    expect(await misnamed("sudo depositaja rules set --widow 5")).toEqual(["--widow"]);
    expect(await misnamed("depositaja chek alice")).toEqual(["chek alice"]);
    expect(await misnamed("depositaja rules sett")).toEqual(["rules sett"]);
    expect(missingFiles("see deploy/none.yaml")).toEqual(["deploy/none.yaml"]);
  });

  test("have YAML that can be read", () => {
    for (const { text } of docs) {
      for (const [, yaml = ""] of text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)) {
        expect(Bun.YAML.parse(yaml)).toBeObject();
      }
    }
  });
});

function withStandIns(text: string): string {
  return STAND_INS.reduce((left, [shown, own]) => left.replaceAll(shown, own), text);
}

/** As far as it can be judged without running it. */
async function expectTypeable(script: string): Promise<void> {
  expect(Bun.spawnSync(["bash", "-n", "-c", script]).stderr.toString()).toBe("");
  for (const [line] of script.matchAll(/^.*\bdepositaja [a-z].*$/gm)) {
    expect([line, await misnamed(line)]).toEqual([line, []]);
  }
  expect(missingFiles(script)).toEqual([]);
}

/** What a line asks of the program that it does not have: a command, or options of it. */
async function misnamed(line: string): Promise<string[]> {
  const words = (/.*\bdepositaja (.+)/s.exec(line)?.[1] ?? "").split(/\s+/);
  const names = words.slice(0, 2).filter((word) => /^[a-z][a-z-]*$/.test(word));
  const { out } = await run({ folder: tmpdir() }, ...names, "--help");
  const [usage = ""] = out.split("\n");
  const isKnown =
    usage.startsWith(`Usage: depositaja ${names[0]} `) &&
    (names.length === 1 || !usage.includes("[command]"));
  if (!isKnown) return [names.join(" ")];
  const options = words.flatMap((word) => /^--[a-z-]+/.exec(word)?.[0] ?? []);
  return options.filter((option) => !new RegExp(`${option}(?![a-z-])`).test(out));
}

function missingFiles(text: string): string[] {
  const paths = [...text.matchAll(/(?<![\w./])deploy\/[\w./-]*\w/g)].map(([path]) => path);
  return paths.filter((path) => !existsSync(join(PROJECT_ROOT, path)));
}

/** JSON by its values: a document breaks its lines. … stands for any value, or part of a text. */
function expectShown(shown: string, given: string): void {
  const wanted = JSON.parse(shown.replaceAll(/: …/g, ': "…"')) as unknown;
  expect(likeShown(JSON.parse(given), wanted)).toEqual(wanted);
}

/** What was given, with each value that the document leaves open as the document has it. */
function likeShown(given: unknown, shown: unknown): unknown {
  if (typeof shown === "string" && shown.includes("…")) {
    return showsOutput(shown, String(given)) ? shown : given;
  }
  if (Array.isArray(given) && Array.isArray(shown)) {
    return given.map((each, i) => likeShown(each, shown[i]));
  }
  if (!isObject(given) || !isObject(shown)) return given;
  return Object.fromEntries(
    Object.entries(given).map(([key, value]) => [key, likeShown(value, shown[key])]),
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
