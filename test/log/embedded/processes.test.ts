import { expect, test } from "bun:test";
import { join } from "node:path";

const MODULE = join(import.meta.dir, "../../../src/log/embedded/processes.ts");

/** What a process without a descriptor left says of its parent, and then of one that has ended. */
const PROGRAM = `
  import { openSync, closeSync, readFileSync } from "node:fs";
  import { isDead, thisProcess } from ${JSON.stringify(MODULE)};
  const { host } = thisProcess();
  const stat = readFileSync("/proc/" + process.ppid + "/stat", "latin1");
  const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  const parent = { pid: process.ppid, started, host };
  const held = [];
  try {
    for (;;) held.push(openSync("/dev/null", "r"));
  } catch {}
  const without = isDead(parent);
  for (const each of held) closeSync(each);
  console.log(JSON.stringify([without, isDead(parent), isDead({ ...parent, started: "1" })]));
`;

// Skipped: only Linux tells when a process was started; elsewhere kill(0) decides.
test.skipIf(process.platform !== "linux")(
  "a process that cannot look takes no other one for dead",
  () => {
    const program = [process.execPath, "-e", PROGRAM];
    const command = ["sh", "-c", 'ulimit -n 100 && exec "$0" "$@"', ...program];
    const { stdout, stderr } = Bun.spawnSync(command);
    expect([stdout.toString(), stderr.toString()]).toEqual(["[false,false,true]\n", ""]);
  },
);
