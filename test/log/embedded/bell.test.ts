import { expect, spyOn, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openBell, POLL_MS } from "../../../src/log/embedded/bell.ts";

const TEST_MS = 30_000;
/** Each loses its last ring now and then where only single rings are heard for certain. */
const BURSTS = 200;

test("the last ring of another process's burst is heard, with no poll behind it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "bell-"));
  const count = join(folder, "count");
  const intervals = spyOn(globalThis, "setInterval");
  const ear = { heard: 0, wake: () => {} };
  const bell = openBell(folder, () => {
    ear.heard = Number(readFileSync(count, "latin1"));
    ear.wake();
  });
  const [poll] = intervals.mock.results;
  expect(intervals.mock.calls.map(([, ms]) => ms)).toEqual([POLL_MS]);
  intervals.mockRestore();
  clearInterval(poll?.value as ReturnType<typeof setInterval>);
  const ringer = Bun.spawn(
    [process.execPath, join(import.meta.dir, "bell-ringer.ts"), folder, count],
    { stdin: "pipe", stdout: "pipe", stderr: "inherit" },
  );
  const told = ringer.stdout.getReader();
  for (let burst = 0, rings = 0; burst < BURSTS; burst += 1) {
    // Bun's watcher passes the second ring on, 2 ms by its count after the first, and hides the
    // third, which comes after the look that was due for the first.
    const gapsMs = [1.5 + (burst % 10) / 20, 0.3 + ((burst * 7) % 10) / 10];
    await ringer.stdin.write(`${gapsMs.join(" ")} 0\n`);
    rings += gapsMs.length + 1;
    expect(new TextDecoder().decode((await told.read()).value)).toBe(`rung ${rings}\n`);
    // Nothing else can wake it: a ring that is lost here ends the test by its deadline.
    while (ear.heard < rings) await new Promise<void>((resolve) => (ear.wake = resolve));
    expect(ear.heard).toBe(rings);
  }
  await ringer.stdin.end();
  expect(await ringer.exited).toBe(0);
  bell.close();
  rmSync(folder, { recursive: true });
}, TEST_MS);
