/**
 * A program that rings the bell of a folder in bursts, one for each line that it reads.
 *
 *   line of gaps in ms ──> number of the ring to the file, ring, gap, ... ──> "rung <number>"
 */

import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { openBell } from "../../../src/log/embedded/bell.ts";

const [folder, count] = process.argv.slice(2) as [string, string];
const bell = openBell(folder, () => {});
let rings = 0;

for await (const line of createInterface({ input: process.stdin })) {
  for (const gapMs of line.split(" ").map(Number)) {
    rings += 1;
    writeFileSync(count, String(rings));
    bell.ring();
    const endMs = performance.now() + gapMs;
    while (performance.now() < endMs); // no timer is as fine as the gaps are
  }
  process.stdout.write(`rung ${rings}\n`);
}
bell.close();
