/**
 * The fenced blocks of the README and of docs/, and what their marks ask for:
 *
 *   ```sh                     run it; it must end with exit code 0
 *   ```sh service             start it, wait until /readyz answers, leave it running
 *   ```sh service="stop"      the same, but wait until it has printed that
 *   ```sh no-run="reason"     not run; the reason is for whoever reads the source
 *   ```ts file=word-count.ts  write it into the project's root, check its types, run it
 *   ```text output            what the block before prints; `…` stands for anything
 *   ```json output            the same
 *
 * `kafka` after `sh` or `service`: only where there is a broker, its output with it.
 *
 *   README text ──> blocks in order
 */

export type BlockKind = "run" | "service" | "no-run" | "program" | "output";

export interface ReadmeBlock {
  readonly kind: BlockKind;
  /** Of the opening fence, from 1. */
  readonly line: number;
  readonly text: string;
  /** Of a program: the name to write it under. Else null. */
  readonly file: string | null;
  /** Of a service: what it prints once it stands. Null: it answers /readyz. */
  readonly readyText: string | null;
  readonly needsBroker: boolean;
  /** Of one that is not run: why. Else null. */
  readonly reason: string | null;
}

/** What a mark says. */
type Marked = Omit<ReadmeBlock, "line" | "text">;

/** Throws an Error that names line and mark when a block could be run but does not say how. */
export function readmeBlocks(markdown: string): ReadmeBlock[] {
  const blocks: ReadmeBlock[] = [];
  let open: { line: number; mark: string; lines: string[] } | null = null;
  for (const [index, line] of markdown.split("\n").entries()) {
    if (open === null) {
      const mark = /^```(.*)$/.exec(line)?.[1];
      if (mark !== undefined) open = { line: index + 1, mark: mark.trim(), lines: [] };
    } else if (/^```\s*$/.test(line)) {
      const marked = markOf(open.mark, open.line);
      if (marked !== null) {
        const isOutput = marked.kind === "output";
        const needsBroker = isOutput ? (blocks.at(-1)?.needsBroker ?? false) : marked.needsBroker;
        const text = open.lines.join("\n");
        blocks.push({ ...marked, needsBroker, line: open.line, text });
      }
      open = null;
    } else open.lines.push(line);
  }
  if (open !== null) throw new Error(`line ${open.line}: the block is never closed`);
  return blocks;
}

/** Whether what was printed is what the README shows; `…` stands for any characters and lines. */
export function showsOutput(shown: string, printed: string): boolean {
  const pattern = shown
    .trim()
    .split("…")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("[\\s\\S]*");
  return new RegExp(`^${pattern}$`).test(printed.trim());
}

/** The port that a service block asks for; 8080 where it asks for none. */
export function servicePort(text: string): number {
  return Number(/--(?:port|health)[ =](\d+)/.exec(text)?.[1] ?? 8080);
}

const PLAIN: Marked = {
  kind: "run",
  file: null,
  readyText: null,
  needsBroker: false,
  reason: null,
};

/** Null for a block that only shows something: a picture, a table, a file. */
function markOf(mark: string, line: number): Marked | null {
  const [, language = "", rest = ""] = /^(\S*)\s*(.*)$/.exec(mark) ?? [];
  if (["sh", "bash", "shell", "console"].includes(language)) {
    const [isOurs, service, readyText = null, kafka] =
      /^(?:(service)(?:="([^"]+)")?)?(?:(?:^|\s+)(kafka))?$/.exec(rest) ?? [];
    if (language === "sh" && (rest === "" || isOurs !== undefined)) {
      const kind = service === undefined ? "run" : "service";
      return { ...PLAIN, kind, readyText, needsBroker: kafka !== undefined };
    }
    const reason = /^no-run="([^"]+)"$/.exec(rest)?.[1];
    if (language === "sh" && reason !== undefined) return { ...PLAIN, kind: "no-run", reason };
    throw new Error(
      `line ${line}: write sh, sh service, sh service="text" (each with kafka or without) or ` +
        `sh no-run="reason", not ${mark}`,
    );
  }
  if (["ts", "typescript", "js", "javascript"].includes(language)) {
    const file = /^file=([a-z0-9-]+\.ts)$/.exec(rest)?.[1];
    if (language === "ts" && file !== undefined) return { ...PLAIN, kind: "program", file };
    throw new Error(`line ${line}: write ts file=<kebab-case>.ts, not ${mark}`);
  }
  if (rest === "output") return { ...PLAIN, kind: "output" };
  if (rest !== "") throw new Error(`line ${line}: nothing is known of the mark ${mark}`);
  return null;
}
