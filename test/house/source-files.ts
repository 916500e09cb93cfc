/**
 * The project's own files, for the house rules: what is checked in or about to be.
 *
 *   folders and root files ──> { path, text } ──> import rules, tidy rules
 */

import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface SourceFile {
  /** From the project's root, with forward slashes: `src/log/event-log.ts`. */
  readonly path: string;
  readonly text: string;
}

export const PROJECT_ROOT = join(import.meta.dir, "../..");

/** What a build, an install or a run leaves behind. */
const NOT_OURS = /^(node_modules|dist|depositaja-data|kafka-data|\.git)\//;

/** Files that match any of the globs, sorted by path. Hidden files count. */
export function sourceFiles(...globs: readonly string[]): SourceFile[] {
  const paths = new Set<string>();
  for (const glob of globs) {
    for (const path of new Bun.Glob(glob).scanSync({ cwd: PROJECT_ROOT, dot: true })) {
      if (!NOT_OURS.test(path)) paths.add(path);
    }
  }
  return [...paths].sort().map((path) => ({
    path,
    text: readFileSync(join(PROJECT_ROOT, path), "utf8"),
  }));
}

/** The text with comments blanked, lines kept. Strings stay: a rule may look for them. */
export function withoutComments(text: string): string {
  const blank = (comment: string) => comment.replace(/[^\n]/g, " ");
  return text.replace(/\/\*[\s\S]*?\*\//g, blank).replace(/(?<=^|\s)\/\/.*$/gm, blank);
}
