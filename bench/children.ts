/**
 * Child processes of the benchmarks and the torture run: the program itself, the bare server.
 * Only what was started here is ever ended, by its pid, also when this process is.
 *
 *   startProgram(["up", ...]) ──until it answers──> child ──stop: SIGTERM, in the end SIGKILL──>
 */

import { join } from "node:path";
import type { Subprocess } from "bun";
import { loadArguments, type LoadPlan, loadReport, type LoadReport } from "./load-plan.ts";
import { HttpConnection } from "../src/proof/load/http-connection.ts";
import { PROGRAM, SOURCE } from "../test/end-to-end/program.ts";

const HOST = "127.0.0.1";
const ROOT = join(import.meta.dir, "..");
/** Bun's own option has a program run it first, from source. */
export const SHIFTED_CLOCK = join(import.meta.dir, "torture", "shifted-clock.ts");
/** Until a server answers at all; a rebuild of its stores comes later. */
const ANSWERS_WITHIN_MS = 30_000;
/** The program promises 5 s. */
const STOPS_WITHIN_MS = 10_000;
const POLL_MS = 1;

export interface Child {
  readonly pid: number;
  readonly isAlive: boolean;
  /** With the exit code. */
  readonly exited: Promise<number>;
  /** Asks it to stop, waits, and ends it if it does not. Idempotent. */
  stop(): Promise<void>;
  /** Ends it at once, as a power cut of the process. */
  kill(): Promise<void>;
}

export interface Server extends Child {
  readonly port: number;
}

const alive = new Set<Subprocess>();
process.on("exit", () => {
  for (const child of alive) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => process.exit(1));
}

export interface ProgramOptions {
  /** A built one; when left out, the tests' one if there is one, else the source. */
  readonly executable?: string;
  /** A file descriptor for what it says on stderr; this process's own when left out. */
  readonly errors?: number;
  /** A file with the milliseconds that its clock is ahead of the real one. */
  readonly clock?: string;
  /** So many descriptors at most; this process's limit when left out. */
  readonly descriptors?: number;
}

/** Runs a command of the program. */
export function startProgram(args: readonly string[], options: ProgramOptions = {}): Child {
  const { executable, errors, clock, descriptors } = options;
  const [bun, ...source] = SOURCE as [string, ...string[]];
  const shifted = clock === undefined ? PROGRAM : [bun, "--preload", SHIFTED_CLOCK, ...source];
  const program = executable === undefined ? shifted : [executable];
  // The shell makes way for the program, which keeps the pid.
  const limit = `ulimit -n ${descriptors} && exec "$0" "$@"`;
  const command = descriptors === undefined ? program : ["sh", "-c", limit, ...program];
  return follow(
    Bun.spawn([...command, ...args, "--log-level", "error"], {
      cwd: ROOT,
      env: clock === undefined ? process.env : { ...process.env, CLOCK_AHEAD_MS_FILE: clock },
      stdio: ["ignore", "ignore", errors ?? "inherit"],
    }),
  );
}

/** `up` or `serve` on a port that was free a moment ago. Resolves when it answers. */
export async function startServer(
  command: "up" | "serve",
  { folder, args = [] }: { readonly folder: string; readonly args?: readonly string[] },
): Promise<Server> {
  const port = freePort();
  const child = startProgram([command, "--data", folder, ...args, "--port", String(port)]);
  await firstAnswer(child, port, "/healthz");
  return Object.assign(child, { port });
}

/** The baseline. */
export async function startBareServer(): Promise<Server> {
  const process_ = Bun.spawn([process.execPath, join(import.meta.dir, "bare-server.ts")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const child = follow(process_);
  const { value } = await process_.stdout.getReader().read();
  return Object.assign(child, { port: Number(new TextDecoder().decode(value)) });
}

/** Runs a load to its end. */
export async function generateLoad(plan: LoadPlan): Promise<LoadReport> {
  const report = loadReport(await outputOf([...PROGRAM, ...loadArguments(plan)], "the load"));
  if (report.requests === 0) throw new Error(`nothing was answered: ${report.firstFailure}`);
  return report;
}

/** Runs a program of bench/ that takes a plan and prints a report, one JSON text each. */
export async function runToReport<Report>(name: string, plan: object): Promise<Report> {
  const program = join(import.meta.dir, name);
  const command = [process.execPath, program, JSON.stringify(plan)];
  return JSON.parse(await outputOf(command, `bench/${name}`)) as Report;
}

/** Runs a program to its end. */
async function outputOf(command: readonly string[], name: string): Promise<string> {
  const process_ = Bun.spawn([...command], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const child = follow(process_);
  const text = await new Response(process_.stdout).text();
  if ((await child.exited) !== 0) throw new Error(`${name} failed`);
  return text;
}

/** Resolves when a GET of the path is answered 200. Rejects when the child ends before. */
export async function firstAnswer(child: Child, port: number, path: string): Promise<void> {
  const deadlineMs = performance.now() + ANSWERS_WITHIN_MS;
  while (!(await answers(port, path))) {
    if (!child.isAlive) throw new Error("a server ended before it answered");
    if (performance.now() > deadlineMs) throw new Error(`no answer within ${ANSWERS_WITHIN_MS} ms`);
    await Bun.sleep(POLL_MS);
  }
}

/** Free when asked. */
export function freePort(): number {
  const probe = Bun.listen({ hostname: HOST, port: 0, socket: { data: () => {} } });
  const { port } = probe;
  probe.stop(true);
  return port;
}

function follow(child: Subprocess): Child {
  alive.add(child);
  const exited = child.exited.finally(() => alive.delete(child));
  return {
    pid: child.pid,
    get isAlive() {
      return alive.has(child);
    },
    exited,
    kill: async () => {
      if (alive.has(child)) child.kill("SIGKILL");
      await exited;
    },
    stop: async () => {
      if (alive.has(child)) child.kill("SIGTERM");
      const patience = setTimeout(() => child.kill("SIGKILL"), STOPS_WITHIN_MS);
      await exited;
      clearTimeout(patience);
    },
  };
}

async function answers(port: number, path: string): Promise<boolean> {
  let connection: HttpConnection;
  try {
    connection = await HttpConnection.open(new URL(`http://${HOST}:${port}`));
  } catch {
    return false;
  }
  return new Promise((resolve) => {
    connection.send(`GET ${path} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`, (answer) => {
      connection.close();
      resolve(answer?.status === 200);
    });
  });
}
