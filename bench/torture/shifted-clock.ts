/**
 * Preloaded into the real program by `bun --preload`: its clock is ahead of the machine's by as
 * many milliseconds as a file says (behind, if negative), and steps when the file changes.
 *
 *   Date.now() ──file──> the machine's time + offset
 *
 * Only `Date.now` is replaced, which is the one clock that the program takes event times and times
 * of records from. Waits and leases run on the monotonic clock, which no step reaches on a real
 * machine either. A preload is not run in worker threads: the processors of `up` keep the machine's
 * clock, while its service has the shifted one.
 */

import { readFileSync } from "node:fs";

const path = process.env["CLOCK_AHEAD_MS_FILE"];
const machine = Date.now;
if (path !== undefined) Date.now = () => machine() + Number(readFileSync(path, "utf8"));
