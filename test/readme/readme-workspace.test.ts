import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BlockKind, ReadmeBlock } from "./readme-blocks.ts";
import { ReadmeWorkspace } from "./readme-workspace.ts";
import { rejection } from "../rejection.ts";

const SERVER = `
  const port = Number(process.argv[3] ?? process.env.DEPOSITAJA_PORT);
  Bun.serve({ hostname: "127.0.0.1", port, fetch: () => new Response("hello from " + port) });
  console.log("serving http://localhost:" + port);
  process.on("SIGTERM", () => process.exit(0));
`;

const projects: string[] = [];
const workspaces: ReadmeWorkspace[] = [];

afterEach(async () => {
  for (const workspace of workspaces.splice(0)) await workspace.close();
  for (const project of projects.splice(0)) rmSync(project, { recursive: true });
});

async function open(
  more: Partial<Parameters<typeof ReadmeWorkspace.open>[0]> = {},
): Promise<ReadmeWorkspace> {
  const projectRoot = mkdtempSync(join(tmpdir(), "depositaja-project-"));
  projects.push(projectRoot);
  writeFileSync(join(projectRoot, "server.ts"), SERVER);
  const options = { projectRoot, files: ["server.ts"], bunVersion: "1.2.3", ...more };
  const workspace = await ReadmeWorkspace.open(options);
  workspaces.push(workspace);
  return workspace;
}

function block(
  kind: BlockKind,
  text: string,
  readyText: string | null = null,
): ReadmeBlock {
  return { kind, line: 1, text, file: null, readyText, needsBroker: false, reason: null };
}

describe("a README workspace", () => {
  test("runs a block in the clone and hands back what it printed", async () => {
    const workspace = await open();
    expect(await workspace.run(block("run", "ls\nnpx -y bun@1.2.3 -p 1+1"))).toBe("server.ts\n2\n");
  });

  test("has a reader's shell, however this test was started", async () => {
    const workspace = await open();
    const said = 'console.log(process.env.npm_config_user_agent ?? "nobody")';
    const ownAgent = process.env["npm_config_user_agent"];
    process.env["npm_config_user_agent"] = "npm/1";
    const printed = workspace.run(block("run", `bun -e '${said}'`)).finally(() => {
      if (ownAgent === undefined) delete process.env["npm_config_user_agent"];
      else process.env["npm_config_user_agent"] = ownAgent;
    });
    expect(await printed).toBe("nobody\n");
    expect(await workspace.run(block("run", `npx -y bun@1.2.3 -e '${said}'`))).toBe("npm/0\n");
  });

  test("fails a block of which any command fails, or that npx would answer otherwise", async () => {
    const workspace = await open();
    for (const text of ["false\ntrue", "false | cat", "npx -y bun@1.2.4 -v", "npx bun -v"]) {
      expect((await rejection(workspace.run(block("run", text)))).message).toContain("exit code 1");
    }
  });

  test("starts a service on a port of its own, which later blocks reach", async () => {
    const workspace = await open();
    const printed = await workspace.run(block("service", "bun server.ts"));
    expect(printed.trim()).toBe("serving http://localhost:8080");
    const other = await workspace.run(block("service", "bun server.ts --port 9000"));
    expect(other.trim()).toBe("serving http://localhost:9000");
    const answer = await workspace.run(block("run", "curl -s http://localhost:8080/"));
    expect(answer).not.toBe("hello from 8080");
    expect(answer).toStartWith("hello from ");
  });

  test("says what a service printed that ended too early", async () => {
    const workspace = await open();
    const run = workspace.run(block("service", "echo no data folder; exit 1"));
    expect((await rejection(run)).message).toContain("no data folder");
  });

  test("waits for what a service prints, where the README says so", async () => {
    const workspace = await open();
    const script = "echo begun; echo it stands; exec sleep 600"; // ended by the close
    expect(await workspace.run(block("service", script, "it stands"))).toBe("begun\nit stands\n");
    const ended = workspace.run(block("service", "echo begun; exit 1", "it stands"));
    expect((await rejection(ended)).message).toContain('no "it stands" came');
  });

  test("gives the README's broker a port of its own, which later blocks reach", async () => {
    const workspace = await open();
    // In the place of the script: says how it was called.
    const said = await workspace.run(block("run", "bun() { echo \"$@\"; }\nbun run kafka"));
    const [, port] = /^run kafka --port (\d+)\n$/.exec(said) ?? [];
    expect(port).not.toBe("9092");
    const flags = await workspace.run(block("run", "echo --brokers localhost:9092 | tr : /"));
    expect(flags).toBe(`--brokers localhost/${port}\n`);
  });

  test("has the installed program, where it is told which that is", async () => {
    const workspace = await open({ program: ["echo", "told", "a  b"] });
    expect(await workspace.run(block("run", "depositaja flags 'c  d'"))).toBe(
      "told a  b flags c  d\n",
    );
  });

  test("makes the README's sample a small one", async () => {
    const workspace = await open();
    const said = await workspace.run(block("run", "echo run depositaja sample --seed 2"));
    expect(said).toBe("run depositaja sample --deposits 3000 --wallets 300 --seed 2\n");
  });

  test("puts a cluster that runs in the place of the README's broker", async () => {
    const cluster = { brokers: "10.0.0.1:2001,10.0.0.2:2001", prefix: "t-" };
    const workspace = await open({ cluster });
    expect(await workspace.run(block("service", "bun run kafka", "Ctrl-C"))).toBe("");
    const flags = await workspace.run(block("run", "echo check --brokers localhost:9092 --json"));
    expect(flags).toBe(`check --brokers ${cluster.brokers} --prefix t- --json\n`);
  });
});
