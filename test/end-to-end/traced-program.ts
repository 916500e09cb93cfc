/**
 * The system calls of a running program, as strace tells them.
 *
 *   pid ──strace --attach──> file of lines ──> calls in the order in which they ended
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Running, temporaryFolder, until } from "./program.ts";

/** One call, once it has ended. */
export interface Call {
  readonly name: string;
  /** As strace prints them: descriptors with their path, text with escapes. */
  readonly args: string;
  readonly result: string;
}

/** Null where calls can be traced, else why they cannot. */
export function whyUntraceable(): string | null {
  if (process.platform !== "linux" || Bun.which("strace") === null) return "there is no strace";
  const probe = Bun.spawnSync(["strace", "-e", "trace=none", "true"]);
  return probe.success ? null : "strace may not trace here";
}

/** Traces until it is told to stop; `inject` is strace's own word for calls that are to fail. */
export class Trace implements AsyncDisposable {
  private constructor(
    private readonly folder: ReturnType<typeof temporaryFolder>,
    private readonly strace: Running,
  ) {}

  static async attach(pid: number, calls: string, inject?: string): Promise<Trace> {
    const folder = temporaryFolder();
    const program = ["strace", "-f", "-y", "-s", "64", "-o", "trace", "-e", `trace=${calls}`];
    if (inject !== undefined) program.push("-e", `inject=${inject}`);
    const strace = new Running({ folder: folder.path, program }, "-p", String(pid));
    await until(() => strace.err.includes("attached"), () => strace.err);
    return new Trace(folder, strace);
  }

  /** Leaves the program alone and returns what it has called meanwhile. */
  async stop(): Promise<readonly Call[]> {
    await this.strace.stop("SIGINT");
    return parseCalls(readFileSync(join(this.folder.path, "trace"), "latin1"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.strace[Symbol.asyncDispose]();
    this.folder[Symbol.dispose]();
  }
}

/** `pid name(args) = result`, or in two parts where another thread's call came in between. */
function parseCalls(text: string): Call[] {
  const begun = new Map<string, string>();
  const calls: Call[] = [];
  for (const line of text.split("\n")) {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const unfinished = / <unfinished \.\.\.>$/;
    if (unfinished.test(rest)) {
      begun.set(thread, rest.replace(unfinished, ""));
      continue;
    }
    const whole = rest.replace(/^<\.\.\. \w+ resumed>/, () => begun.get(thread) ?? "");
    const [, name, args, result] = /^(\w+)\((.*)\) += (.*)$/.exec(whole) ?? [];
    if (name === undefined || args === undefined || result === undefined) continue;
    calls.push({ name, args, result });
  }
  return calls;
}
