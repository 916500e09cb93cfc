/**
 * The executable, built as `bun run build` builds it, into a folder of the test's own.
 *
 *   package.json's "build" ──other --outfile──> executable
 */

import { join } from "node:path";
import manifest from "../../package.json" with { type: "json" };
import { PROJECT_ROOT } from "./program.ts";

/** Building takes some seconds. */
export const BUILD_DEADLINE_MS = 60_000;

/** The path of the executable in the folder. */
export async function buildExecutable(folder: string): Promise<string> {
  const outfile = join(folder, "depositaja");
  const command = manifest.scripts.build.split(" && ").at(-1)?.replace("dist/depositaja", outfile);
  const [, ...args] = (command ?? "").split(" ");
  const child = Bun.spawn([process.execPath, ...args], {
    cwd: PROJECT_ROOT,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [code, complaints] = await Promise.all([child.exited, child.stderr.text()]);
  if (code !== 0) throw new Error(`the build failed: ${complaints}`);
  return outfile;
}
