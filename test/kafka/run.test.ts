/** `bun run kafka` as a command: help, what it refuses, and one broker a folder. */

import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../end-to-end/program.ts";
import { freePorts } from "./free-ports.ts";
import { missingForBroker } from "./java.ts";

const missing = await missingForBroker();
const BROKER_MS = 60_000;

function start(...args: string[]) {
  return Bun.spawn([process.execPath, join(import.meta.dir, "run.ts"), ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

async function kafka(...args: string[]) {
  const child = start(...args);
  const [code, out, err] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ]);
  return { code, out, err };
}

const USAGE = "usage: bun run kafka [--port 9092] [--data ./kafka-data]\n";

test("--help says how to use it, with exit code 0", async () => {
  const help = await kafka("--help");
  expect(help).toMatchObject({ code: 0, err: "" });
  expect(help.out).toStartWith(USAGE);
});

test.each([
  [["--port", "70000"], "kafka: --port 70000 is not a port\n"],
  [["--prot", "9092"], "kafka: Unknown option '--prot'"],
  [["9092"], "kafka: Unexpected argument '9092'"],
])("wrong usage is told with exit code 2: %j", async (args, message) => {
  const { code, out, err } = await kafka(...args);
  expect([code, out]).toEqual([2, ""]);
  expect(err).toStartWith(message);
  expect(err).toEndWith(USAGE);
});

// Skipped: without Java 17 and Maven that is what is told.
test.skipIf(missing !== null)("a folder has one broker at a time, which Ctrl-C ends", async () => {
  using root = temporaryFolder();
  const [one = 0, other = 0] = await freePorts(2);
  const on = (port: number) => ["--port", String(port), "--data", root.path];
  const first = start(...on(one));
  try {
    for await (const text of first.stdout.pipeThrough(new TextDecoderStream())) {
      if (text.includes("Ctrl-C")) break;
    }
    // It would write into the metadata of the first, and both would end.
    expect(await kafka(...on(other))).toEqual({
      code: 1,
      out: "",
      err:
        `kafka: a broker runs on ${root.path} already: stop it first, or choose another folder ` +
        "with --data\n",
    });
  } finally {
    first.kill("SIGINT");
  }
  expect(await first.exited).toBe(0);
}, BROKER_MS);

// Skipped: without Java 17 and Maven that is what is told.
test.skipIf(missing !== null)("a place where no folder can be made is named", async () => {
  using root = temporaryFolder();
  const file = join(root.path, "file");
  writeFileSync(file, "");
  const [port = 0] = await freePorts(1);
  const { code, out, err } = await kafka("--port", String(port), "--data", file);
  expect([code, out]).toEqual([1, ""]);
  expect(err).toStartWith(`kafka: ${file} cannot be the data folder (`);
  expect(err).toEndWith("): choose another with --data\n");
});
