/**
 * A folder in which the README's blocks run as they would in a fresh clone: the project's files,
 * nothing installed, `npx` and `bun` on the path, ports of its own.
 *
 *   block ──> own ports for the README's ──> bash in the folder ──> printed text
 */

import { cpSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { type ReadmeBlock, servicePort } from "./readme-blocks.ts";

/** For one block: the first one installs everything, and one may build the executable. */
export const BLOCK_DEADLINE_MS = 120_000;
/** A clean stop is promised within 5 s; a broker's takes up to 20 s. */
const STOP_DEADLINE_MS = 25_000;
const POLL_MS = 20;

interface Service {
  readonly child: Bun.Subprocess<"ignore", "pipe", "pipe">;
  printed: string;
}

export class ReadmeWorkspace {
  private readonly services: Service[] = [];
  /** The README's port numbers, and the ones that stand in for them here. */
  private readonly ports = new Map<number, number>();

  private constructor(
    readonly folder: string,
    private readonly programs: string,
    /** Flags of a cluster that stands in for the README's broker; null: that one is started. */
    private readonly cluster: string | null,
  ) {}

  /** `bunVersion` is the one that the README's npx command must name. */
  static async open(options: {
    readonly projectRoot: string;
    readonly files: readonly string[];
    readonly bunVersion: string;
    /** Where no broker can be started: a cluster that runs, and a prefix that nobody else has. */
    readonly cluster?: { readonly brokers: string; readonly prefix: string };
    /** What `depositaja` is, where a block writes it so: the installed program. */
    readonly program?: readonly string[];
  }): Promise<ReadmeWorkspace> {
    const folder = await mkdtemp(join(tmpdir(), "depositaja-readme-"));
    const { cluster } = options;
    const workspace = new ReadmeWorkspace(
      join(folder, "clone"),
      join(folder, "programs"),
      cluster === undefined ? null : `--brokers ${cluster.brokers} --prefix ${cluster.prefix}`,
    );
    for (const file of options.files) {
      cpSync(join(options.projectRoot, file), join(workspace.folder, file), { recursive: true });
    }
    mkdirSync(workspace.programs);
    symlinkSync(process.execPath, join(workspace.programs, "bun"));
    workspace.addProgram("npx", npxScript(options.bunVersion));
    if (options.program !== undefined) {
      const words = options.program.map((word) => `'${word}'`).join(" ");
      workspace.addProgram("depositaja", `#!/bin/sh\nexec ${words} "$@"\n`);
    }
    return workspace;
  }

  /** Runs, starts or writes and runs a block; what it printed, with the README's ports. */
  async run(block: ReadmeBlock): Promise<string> {
    if (block.kind === "service") return this.start(block);
    if (block.kind === "run") return this.shell(block.text);
    if (block.kind !== "program" || block.file === null) return "";
    writeFileSync(join(this.folder, block.file), `${block.text}\n`);
    const settings = { extends: "./tsconfig.json", include: [block.file] };
    writeFileSync(join(this.folder, "tsconfig.readme.json"), JSON.stringify(settings));
    await this.shell("bun install --frozen-lockfile --silent");
    await this.shell("bun node_modules/typescript/bin/tsc --noEmit -p tsconfig.readme.json");
    return this.shell(`bun ${block.file}`);
  }

  /** Stops every service and removes the folder. Throws when one does not stop. */
  async close(): Promise<void> {
    const stuck: number[] = [];
    for (const { child } of this.services.reverse()) {
      signalGroup(child.pid, "SIGTERM");
      if (await holds(() => !signalGroup(child.pid, 0), STOP_DEADLINE_MS)) continue;
      signalGroup(child.pid, "SIGKILL");
      stuck.push(child.pid);
    }
    await rm(join(this.folder, ".."), { recursive: true });
    if (stuck.length > 0) throw new Error(`a service did not stop within ${STOP_DEADLINE_MS} ms`);
  }

  private addProgram(name: string, script: string): void {
    writeFileSync(join(this.programs, name), script, { mode: 0o755 });
  }

  private async shell(text: string): Promise<string> {
    const child = this.spawn(await this.withOwnPorts(text));
    const timer = setTimeout(() => signalGroup(child.pid, "SIGKILL"), BLOCK_DEADLINE_MS);
    const [exitCode, printed, complaints] = await Promise.all([
      child.exited,
      new Response(child.stdout).text(),
      new Response(child.stderr).text(),
    ]);
    clearTimeout(timer);
    if (exitCode === 0) return this.withReadmePorts(printed);
    throw new Error(`exit code ${exitCode}\n${printed}${complaints}`);
  }

  private async start(block: ReadmeBlock): Promise<string> {
    if (this.cluster !== null && block.text.includes(BROKER_COMMAND)) return "";
    const child = this.spawn(await this.withOwnPorts(block.text));
    const service: Service = { child, printed: "" };
    this.services.push(service);
    for (const stream of [child.stdout, child.stderr]) void collect(stream, service);
    const port = await this.ownPort(servicePort(block.text));
    const { readyText } = block;
    const isReady = await holds(async () => {
      if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      if (readyText !== null) return service.printed.includes(readyText);
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null);
      return answer?.status === 200;
    }, BLOCK_DEADLINE_MS).catch((error: unknown) => String(error));
    if (isReady === true) return this.withReadmePorts(service.printed);
    const wanted = readyText === null ? "/readyz did not answer 200" : `no "${readyText}" came`;
    throw new Error(`${wanted} (${isReady})\n${service.printed}`);
  }

  private spawn(script: string): Bun.Subprocess<"ignore", "pipe", "pipe"> {
    const inherited = Object.entries(process.env).filter(
      ([name]) => !name.startsWith("DEPOSITAJA_") && !FOREIGN.has(name),
    );
    return Bun.spawn(["bash", "-euo", "pipefail", "-c", script], {
      cwd: this.folder,
      env: {
        ...Object.fromEntries(inherited),
        PATH: `${this.programs}${delimiter}${process.env["PATH"] ?? ""}`,
        DEPOSITAJA_PORT: String(this.ports.get(8080) ?? 8080),
        NO_COLOR: "1",
      },
      stdio: ["ignore", "pipe", "pipe"],
      // A group of its own, so that everything it starts can be stopped with it.
      detached: true,
    });
  }

  private async withOwnPorts(text: string): Promise<string> {
    await this.ownPort(8080);
    for (const [, port] of text.matchAll(PORT)) await this.ownPort(Number(port));
    const brokerPort = await this.ownPort(BROKER_PORT);
    return text
      .replaceAll(README_BROKERS, this.cluster ?? README_BROKERS)
      .replace(BROKER_COMMAND, `${BROKER_COMMAND} --port ${brokerPort}`)
      .replaceAll(SAMPLE_COMMAND, `${SAMPLE_COMMAND} ${SMALL_SAMPLE}`)
      .replace(PORT, (whole, port: string) => {
        const own = this.ports.get(Number(port));
        return own === undefined ? whole : whole.replace(port, String(own));
      });
  }

  private withReadmePorts(text: string): string {
    let shown = text;
    for (const [port, own] of this.ports) shown = shown.replaceAll(`:${own}`, `:${port}`);
    return shown;
  }

  private async ownPort(port: number): Promise<number> {
    const own = this.ports.get(port) ?? (await freePort());
    this.ports.set(port, own);
    return own;
  }
}

/** The README's has a million deposits; the same wallets show with fewer, and sooner. */
const SAMPLE_COMMAND = "run depositaja sample";
const SMALL_SAMPLE = "--deposits 3000 --wallets 300";

/** Settings of the program, and how this test was started: a reader's shell has neither. */
const FOREIGN: ReadonlySet<string> = new Set([
  "PORT",
  "BROKER",
  "npm_config_user_agent",
  "npm_lifecycle_event",
]);

/** What the README calls its broker. */
const BROKER_COMMAND = "bun run kafka";
const BROKER_PORT = 9092;
const README_BROKERS = `--brokers localhost:${BROKER_PORT}`;

/** Where a port can stand in a command. */
const PORT = /(?:(?:localhost|127\.0\.0\.1):|--(?:port|health)[ =])(\d{4,5})\b/g;

/** The README's npx without the download: the Bun that runs the tests is that version. */
function npxScript(bunVersion: string): string {
  return [
    "#!/bin/sh",
    `if [ "$1 $2" != "-y bun@${bunVersion}" ]; then`,
    `  echo "npx $*: the README must say npx -y bun@${bunVersion}" >&2`,
    "  exit 1",
    "fi",
    "shift 2",
    "export npm_config_user_agent=npm/0 npm_lifecycle_event=npx", // as npx does
    `exec "${process.execPath}" "$@"`,
    "",
  ].join("\n");
}

async function collect(stream: ReadableStream<Uint8Array>, into: Service): Promise<void> {
  const decoder = new TextDecoder();
  for await (const bytes of stream) into.printed += decoder.decode(bytes, { stream: true });
}

/** Whether the group was there. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal);
  } catch {
    return false;
  }
}

async function holds(
  condition: () => boolean | Promise<boolean>,
  deadlineMs: number,
): Promise<boolean> {
  const endMs = performance.now() + deadlineMs;
  while (performance.now() < endMs) {
    if (await condition()) return true;
    await Bun.sleep(POLL_MS);
  }
  return false;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });
}
