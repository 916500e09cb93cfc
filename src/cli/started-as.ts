/**
 * What to type to run another command: in the form in which this one was started.
 *
 *   process ──> "npx -y bun@1.4.5 run depositaja" | "bun run depositaja" | "dist/depositaja" | ...
 */

import { relative } from "node:path";

export interface Start {
  /** The executable as it was typed. */
  readonly typed: string;
  /** Compiled into one file. */
  readonly isCompiled: boolean;
  /** The script that Bun runs. */
  readonly script: string;
  readonly folder: string;
  readonly bunVersion: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** The program's name for examples and next commands. */
export function startedAs(start: Start = thisStart()): string {
  if (start.isCompiled) return quote(start.typed);
  // Bun and npm set these for what a package's scripts start; npm's own stay set below npx.
  const { npm_lifecycle_event: event, npm_config_user_agent: agent } = start.environment;
  if (event === undefined) {
    const script = relative(start.folder, start.script);
    return `bun ${quote(script.startsWith("..") ? start.script : script)}`;
  }
  if (agent?.startsWith("npm/")) return `npx -y bun@${start.bunVersion} run depositaja`;
  return "bun run depositaja";
}

/** An argument as a shell takes it. */
export function quote(argument: string): string {
  if (/^[A-Za-z0-9_./:@%+=,-]+$/.test(argument)) return argument;
  return `'${argument.replaceAll("'", `'\\''`)}'`;
}

function thisStart(): Start {
  return {
    typed: process.argv0,
    isCompiled: Bun.isStandaloneExecutable,
    script: Bun.main,
    folder: process.cwd(),
    bunVersion: Bun.version,
    environment: process.env,
  };
}
