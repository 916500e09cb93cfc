/**
 * The steps that look at proto/ and at what was generated from it.
 *
 *   proto ──buf lint, buf breaking──> outcome
 *   proto ──buf generate──> temporary folder ──compare with src/gen──> outcome
 */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CheckStep, failed, PASSED, type StepResult, skipped } from "./check-step.ts";
import { buf, type CommandResult, runCommand } from "./command.ts";
import { PROJECT_ROOT } from "./source-files.ts";

export const PROTO_STEPS: readonly CheckStep[] = [
  { name: "proto-lint", run: async () => stepOf(await runCommand(buf("lint"))) },
  { name: "proto-breaking", run: () => inTemporaryFolder(checkBreaking) },
  { name: "generated", run: () => inTemporaryFolder(checkGenerated) },
];

/**
 * Against main where this branch left it; on main itself against the commit before. What is not
 * committed yet is compared too.
 */
async function checkBreaking(folder: string): Promise<StepResult> {
  const base = await baseCommit();
  if (base === null) return skipped("no earlier commit is here to compare with");
  const before = join(folder, "before.tar");
  const archive = await git("archive", "--format=tar", "-o", before, base, "buf.yaml", "proto");
  if (archive.exitCode !== 0) return skipped(`${base.slice(0, 12)} has no proto folder`);
  return stepOf(await runCommand(buf("breaking", "--against", before)));
}

async function checkGenerated(folder: string): Promise<StepResult> {
  const generated = await runCommand(buf("generate", "-o", folder));
  if (generated.exitCode !== 0) return failed(generated.everything);
  const fresh = await filesBelow(join(folder, "src/gen"));
  const committed = await filesBelow(join(PROJECT_ROOT, "src/gen"));
  const stale = [...new Set([...fresh.keys(), ...committed.keys()])]
    .filter((path) => fresh.get(path) !== committed.get(path))
    .map((path) => `src/gen/${path} is not what the protos give; run: bun run generate`);
  if (fresh.size === 0) return failed("the protos give no code");
  return stale.length === 0 ? PASSED : failed(stale.join("\n"));
}

/** Null when there is no history: no git, no repository, a first commit, a shallow clone. */
async function baseCommit(): Promise<string | null> {
  const head = await commitOf("HEAD");
  if (head === null) return null;
  for (const main of ["origin/main", "main"]) {
    const fork = await gitLine("merge-base", "HEAD", main);
    if (fork !== null && fork !== head) return fork;
  }
  return commitOf("HEAD~1");
}

function commitOf(revision: string): Promise<string | null> {
  return gitLine("rev-parse", "--verify", "--quiet", `${revision}^{commit}`);
}

async function gitLine(...rest: readonly string[]): Promise<string | null> {
  const { exitCode, output } = await git(...rest);
  return exitCode === 0 ? output.trim() : null;
}

function git(...rest: readonly string[]): Promise<CommandResult> {
  if (Bun.which("git") !== null) return runCommand(["git", ...rest]);
  return Promise.resolve({ exitCode: 127, output: "", everything: "git is not installed" });
}

function stepOf({ exitCode, everything }: CommandResult): StepResult {
  return exitCode === 0 ? PASSED : failed(everything);
}

async function filesBelow(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for await (const path of new Bun.Glob("**/*").scan({ cwd: folder })) {
    files.set(path, await readFile(join(folder, path), "utf8"));
  }
  return files;
}

async function inTemporaryFolder(
  check: (folder: string) => Promise<StepResult>,
): Promise<StepResult> {
  const folder = await mkdtemp(join(tmpdir(), "depositaja-check-"));
  try {
    return await check(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}
