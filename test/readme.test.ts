import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PROJECT_ROOT, sourceFiles } from "./house/source-files.ts";
import { freshPrefix, testBrokers, whyNoBroker } from "./kafka/broker.ts";
import { missingForBroker } from "./kafka/java.ts";
import { type ReadmeBlock, readmeBlocks, showsOutput } from "./readme/readme-blocks.ts";
import { BLOCK_DEADLINE_MS, ReadmeWorkspace } from "./readme/readme-workspace.ts";

const readmePath = join(PROJECT_ROOT, "README.md");
const readme = existsSync(readmePath) ? readFileSync(readmePath, "utf8") : "";
const { packageManager, scripts } = JSON.parse(
  readFileSync(join(PROJECT_ROOT, "package.json"), "utf8"),
) as { packageManager: string; scripts: Record<string, string> };
/** The README's own broker is started where it can be. */
const whyNoOwnBroker = await missingForBroker();
const testCommand = `npx -y ${packageManager} run test`;

describe("the README", () => {
  test("is there, with the two commands at its top", () => {
    expect(readme, "README.md is missing").not.toBe("");
    expect(readme).toContain(testCommand);
    expect(readme).toContain(`npx -y ${packageManager} run up`);
  });

  test("names the test command that CI runs", () => {
    expect(readFileSync(join(PROJECT_ROOT, ".ci/run"), "utf8")).toContain(testCommand);
  });

  test("names only scripts and Bun versions that are there", () => {
    const run = [...readme.matchAll(/\b(?:bun|bun@[\d.]+) run ([a-z-]+)/g)].map(([, name]) => name);
    expect(run.filter((name) => name === undefined || !(name in scripts))).toEqual([]);
    const versions = [...readme.matchAll(/\bbun@[\d.]+/g)].map(([version]) => version);
    expect(versions.filter((version) => version !== packageManager)).toEqual([]);
  });
});

describe("the README's blocks do what it says", () => {
  let workspace: ReadmeWorkspace | null = null;
  let printed = "";

  afterAll(() => workspace?.close(), BLOCK_DEADLINE_MS); // one service after another

  const open = async () =>
    ReadmeWorkspace.open({
      projectRoot: PROJECT_ROOT,
      files: sourceFiles("{src,test,bench,proto,patches}/**/*", "*").map(({ path }) => path),
      bunVersion: packageManager.replace("bun@", ""),
      ...(whyNoBroker === null && whyNoOwnBroker !== null
        ? { cluster: { brokers: await testBrokers(), prefix: freshPrefix() } }
        : {}),
    });

  for (const block of readmeBlocks(readme)) {
    const [firstLine] = block.text.trim().split("\n");
    const title = `line ${block.line}: ${firstLine}`;
    if (block.kind === "no-run") continue;
    if (block.kind === "output") {
      const shown = block.text;
      testOf(block)(`${title} (shown as output)`, () => {
        const isShown = showsOutput(shown, printed);
        expect(isShown ? shown.trim() : printed.trim()).toBe(shown.trim());
      });
      continue;
    }
    testOf(block)(
      title,
      async () => {
        workspace ??= await open();
        printed = await workspace.run(block);
      },
      // A block's own deadline first, then that of its process.
      4 * BLOCK_DEADLINE_MS,
    );
  }
});

function testOf({ needsBroker }: ReadmeBlock) {
  // Skipped: blocks of the Kafka session, where there is no broker and none can be started.
  return test.skipIf(needsBroker && whyNoBroker !== null);
}
