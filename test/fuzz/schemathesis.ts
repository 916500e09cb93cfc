/**
 * Schemathesis, a fuzzer that asks every route by the document and holds every answer against it.
 *
 *   PyPI ──pip, once──> node_modules/.cache/schemathesis ──/openapi.json──> requests, checks
 *
 * All of its checks but one: that a request that fits the schema is taken. A schema cannot say all
 * that the door's rules do: how many bytes a text has, how many decimals, whose position it is.
 */

import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type CheckStep, PASSED, skipped } from "../house/check-step.ts";
import { type ProgramOptions, run } from "../end-to-end/program.ts";
import { PROJECT_ROOT } from "../house/source-files.ts";

const VERSION = "4.32.5";
const CACHE = join(PROJECT_ROOT, "node_modules/.cache/schemathesis");
const INSTALLED = join(CACHE, VERSION);
/** Started as its module: the programs beside it name the folder that they were installed in. */
const PYTHON = join(INSTALLED, "bin/python");
const SETTINGS = join(import.meta.dir, "schemathesis.toml");
const LEFT_OUT = "positive_data_acceptance";
/** Half a minute on an idle machine; a registry that does not answer is not waited for longer. */
const INSTALL_MS = 120_000;

/** Before the tests, so that theirs runs wherever there is Python and a registry. */
export const FUZZER_STEP: CheckStep = {
  name: "fuzzer",
  run: async () => {
    try {
      await installFuzzer();
      return PASSED;
    } catch (error) {
      return skipped(`the service is not fuzzed: ${(error as Error).message}`);
    }
  },
};

/** Why it cannot run here now; null when it can. */
export function missingForFuzzer(): string | null {
  if (existsSync(PYTHON)) return null;
  return `Schemathesis ${VERSION} is not installed: \`bun run fuzz\` installs it, with Python`;
}

/** Once. Throws when there is no Python, or PyPI cannot be reached. */
export async function installFuzzer(): Promise<void> {
  if (missingForFuzzer() === null) return;
  if (Bun.which("python3") === null) {
    throw new Error("the fuzzer needs Python 3 (python3) with venv: on Debian, python3-venv");
  }
  await mkdir(CACHE, { recursive: true });
  // Whole or not at all.
  const unfinished = `${INSTALLED}.unfinished`;
  await rm(unfinished, { recursive: true, force: true });
  await succeed(["python3", "-m", "venv", unfinished]);
  const pip = [join(unfinished, "bin/python"), "-m", "pip", "install", "--quiet"];
  await succeed([...pip, "--disable-pip-version-check", `schemathesis==${VERSION}`]);
  await rename(unfinished, INSTALLED);
}

export interface FuzzOptions {
  /** Of a running service. */
  readonly url: string;
  /** It ends soon after that. */
  readonly seconds: number;
  /** Of a key; the fuzzer leaves it out, too, and tries others. */
  readonly secret: string;
  /** What it was when something was found, to find it again. */
  readonly seed?: string;
  readonly folder: string;
}

/** What it prints, and whether it found nothing. */
export async function fuzz(options: FuzzOptions): Promise<{ isClean: boolean; report: string }> {
  const { url, seconds, secret, seed, folder } = options;
  const child = Bun.spawn(
    [
      ...[PYTHON, "-m", "schemathesis.cli"],
      ...["--config-file", SETTINGS, "--no-color", "run", `${url}/openapi.json`],
      ...["--checks", "all", "--exclude-checks", LEFT_OUT, "--max-time", String(seconds)],
      ...["--header", `Authorization: Bearer ${secret}`],
      ...(seed === undefined ? [] : ["--seed", seed]),
    ],
    { cwd: folder, stdio: ["ignore", "pipe", "pipe"] },
  );
  const [code, printed, complaints] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ]);
  return { isClean: code === 0, report: `${printed}${complaints}` };
}

async function succeed(command: readonly string[]): Promise<void> {
  const child = Bun.spawn([...command], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: INSTALL_MS,
  });
  const [code, printed, complaints] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")} failed:\n${printed}${complaints}`);
}

/** The options by which a service in the folder asks for keys, and the secret of an operator's. */
export async function operatorsKey(at: ProgramOptions) {
  const made = await run(at, "keys", "create", "fuzzer", "--scope", "operator", "--keys", "keys");
  return { options: ["--keys", "keys"], secret: made.out.trim() };
}
