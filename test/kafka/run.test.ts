/** `bun run kafka` as a command: help and wrong usage, without a broker. */

import { expect, test } from "bun:test";
import { join } from "node:path";

async function kafka(...args: string[]) {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "run.ts"), ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
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
