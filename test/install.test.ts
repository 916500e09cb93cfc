/** deploy/depositaja.service, as far as it can be judged where systemd is not process 1. */

import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSettings } from "../src/cli/settings.ts";
import { PROJECT_ROOT } from "./house/source-files.ts";

/** Tenths of systemd's exposure level, 0 to 100; what it calls OK ends at 40. */
const MOST_EXPOSED = 20;

const unit = readFileSync(join(PROJECT_ROOT, "deploy/depositaja.service"), "utf8");
const hasAnalyzer = Bun.which("systemd-analyze") !== null;

/** What `systemd-analyze` says of a unit, with a program that is there in the place of ours. */
function analyzed(text: string, ...args: string[]) {
  const folder = mkdtempSync(join(tmpdir(), "depositaja-unit-"));
  try {
    const path = join(folder, "depositaja.service");
    writeFileSync(path, text.replace("/usr/local/bin/depositaja", process.execPath));
    const { status, stdout, stderr } = spawnSync("systemd-analyze", [...args, path]);
    return { status, said: `${stdout}${stderr}` };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the systemd unit", () => {
  // Skipped: where there is no systemd-analyze.
  test.skipIf(!hasAnalyzer)("is one that systemd knows to the last line", () => {
    expect(analyzed(unit, "verify")).toEqual({ status: 0, said: "" });
    expect(analyzed(unit.replace("Restart=", "Restarts="), "verify").said).toContain("Restarts");
  });

  // Skipped: where there is no systemd-analyze.
  test.skipIf(!hasAnalyzer)("leaves the program little that it does not need", () => {
    const args = ["security", "--offline=yes", "--no-pager", `--threshold=${MOST_EXPOSED}`];
    expect(analyzed(unit, ...args)).toMatchObject({ status: 0 });
    const bare = unit.replace(/^(Protect|Restrict|CapabilityBounding).*$/gm, "");
    expect(analyzed(bare, ...args).status).not.toBe(0);
  });

  test("sets what the program knows", () => {
    const environment = Object.fromEntries(
      [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
    );
    const { settings } = readSettings(["data"], { flags: {}, environment, folder: "/" });
    expect(environment).toEqual({ DEPOSITAJA_DATA: settings.data });
  });
});
