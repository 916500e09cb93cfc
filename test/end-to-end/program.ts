/**
 * The program as a child process: run to its end, or kept running and awaited line by line.
 *
 *   arguments ──spawn──> exit code and output, or a running program
 */

import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const PROJECT_ROOT = resolve(import.meta.dir, "../..");
/** From source, in another folder: the project's own bunfig.toml would keep Bun from any .env. */
export const SOURCE = [process.execPath, "--no-env-file", join(PROJECT_ROOT, "src/main.ts")];
/** The executable that the check has built; a test file on its own runs from source. */
export const PROGRAM_VARIABLE = "DEPOSITAJA_TEST_PROGRAM";
const executable = process.env[PROGRAM_VARIABLE];
export const PROGRAM = executable === undefined ? SOURCE : [executable];
/** The check's file of what was started, a line each; see test/house/every-option.ts. */
export const STARTS_VARIABLE = "DEPOSITAJA_TEST_STARTS";
/** What may take long on a machine that does other things, too. */
export const DEADLINE_MS = 20_000;
const POLL_MS = 5;

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface ProgramOptions {
  /** PROGRAM unless told. */
  readonly program?: readonly string[];
  readonly folder: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** What a program was started with. */
export interface Start {
  readonly args: readonly string[];
  /** Names of environment variables. */
  readonly variables: readonly string[];
}

/** A folder for one test; `using` removes it. */
export function temporaryFolder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "depositaja-end-to-end-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

export async function run(options: ProgramOptions, ...args: string[]): Promise<Outcome> {
  const child = spawn(options, args);
  const [code, out, err] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ]);
  return { code, out, err };
}

/** What else it said: the line that an operator's action leaves in the log has its own test. */
export function withoutActionLines(outcome: Outcome): Outcome {
  const err = outcome.err.replace(/^\{.*"logger":"depositaja\.operators".*\n/gm, "");
  return { ...outcome, err };
}

/**
 * A program that runs until it is told to stop; `await using` kills what is left of it, and of
 * what it has started: a package's script is a program in between.
 */
export class Running implements AsyncDisposable {
  out = "";
  err = "";
  private readonly child: ReturnType<typeof spawn>;

  constructor(options: ProgramOptions, ...args: string[]) {
    this.child = spawn(options, args);
    const read = async (from: ReadableStream<Uint8Array>, take: (text: string) => void) => {
      const decoder = new TextDecoder();
      for await (const bytes of from) take(decoder.decode(bytes, { stream: true }));
    };
    void read(this.child.stdout, (text) => (this.out += text));
    void read(this.child.stderr, (text) => (this.err += text));
  }

  get pid(): number {
    return this.child.pid;
  }

  /** What the pattern's first group took, once stdout has it. Rejects when the program ends. */
  async says(pattern: RegExp): Promise<string> {
    await until(() => pattern.test(this.out) || this.child.exitCode !== null, () => this.story());
    const match = pattern.exec(this.out);
    if (match === null) throw new Error(`the program ended: ${this.story()}`);
    return match[1] ?? match[0];
  }

  /** The address of a service, once it serves. */
  serves(): Promise<string> {
    return this.says(/^serving +(https?:\S+)$/m);
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  async ended(): Promise<Outcome> {
    const code = await this.child.exited;
    await until(() => this.child.exitCode !== null || this.child.signalCode !== null, () => "");
    return { code: this.child.signalCode === null ? code : null, out: this.out, err: this.err };
  }

  stop(name: NodeJS.Signals = "SIGTERM"): Promise<Outcome> {
    this.signal(name);
    return this.ended();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      process.kill(-this.child.pid, "SIGKILL");
    } catch (error) {
      if ((error as { code?: string }).code !== "ESRCH") throw error; // all have ended
    }
    await this.child.exited;
  }

  private story(): string {
    return `${this.out}\n${this.err}`;
  }
}

/** Resolves once the condition holds. Rejects with `story` when it does not in time. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  story: () => string,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`not within ${deadlineMs} ms: ${story()}`);
    await Bun.sleep(POLL_MS);
  }
}

function spawn({ program = PROGRAM, folder, environment = {} }: ProgramOptions, args: string[]) {
  const starts = process.env[STARTS_VARIABLE];
  if (starts !== undefined) {
    const start: Start = { args, variables: Object.keys(environment) };
    appendFileSync(starts, `${JSON.stringify(start)}\n`);
  }
  return Bun.spawn([...program, ...args], {
    cwd: folder,
    env: { PATH: process.env["PATH"], HOME: folder, TZ: "UTC", ...environment },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    detached: true, // a process group of its own
  });
}
