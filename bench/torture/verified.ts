/**
 * `verify`, the command itself, as a part of the judgement: what a user would run afterwards.
 *
 *   log and tables ──verify --json──> faults, one sentence each
 */

import { PROGRAM } from "../../test/end-to-end/program.ts";
import type { Site } from "./site.ts";

/** A run has some ten thousand records; a verification of a million takes half of it. */
const VERIFIES_WITHIN_MS = 60_000;

interface Found {
  readonly difference_count: number;
  readonly differences: readonly Readonly<Record<string, unknown>>[];
}

/** `when` names what it was run beside, or after. */
export async function judgeByVerify(site: Site, when: string): Promise<string[]> {
  const command = [...PROGRAM, "verify", "--json", ...site.flags(0)];
  const child = Bun.spawn(command, {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: VERIFIES_WITHIN_MS,
  });
  const [out, err, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (code === 0) return [];
  const said = `verify ${when} ended with ${code ?? child.signalCode}`;
  try {
    const { differences, difference_count: count } = JSON.parse(out) as Found;
    return [
      `${said}: ${count} differences`,
      ...differences.map((each) => `verify ${when}: ${JSON.stringify(each)}`),
    ];
  } catch {
    return [`${said}: ${err.trim() || out.trim()}`];
  }
}
