/**
 * The house's rules that no linter knows, each with a line that breaks it and one that does not,
 * so that a test can show that the rule still bites.
 *
 *   files ──rule──> faults, one sentence each
 *
 * The idea is TigerBeetle's tidy test.
 */

import { type SourceFile, withoutComments } from "./source-files.ts";

export interface TidyRule {
  readonly title: string;
  /** Which files it holds for, by path. */
  readonly appliesTo: RegExp;
  /** Null when the file keeps the rule; otherwise what is wrong, with line numbers. */
  faults(file: SourceFile): string[];
  readonly broken: SourceFile;
  readonly kept: SourceFile;
}

const MAX_COLUMNS = 100;
const OURS = /^(?!src\/gen\/|bun\.lock$).*\.(ts|proto|ya?ml|toml|json|sh)$|^\.ci\//;
/** JSON cannot break a line. */
const BREAKABLE = /^(?!src\/gen\/).*\.(ts|proto|ya?ml|toml|sh)$|^\.ci\//;
const CODE = /^(src\/(?!gen\/)|test\/|bench\/).*\.ts$/;
const TEST = /^test\/.*\.ts$/;
/** The engine and every domain: what is left of src without adapters and the program's edge. */
const TIMELESS = new RegExp(
  "^src/(?!gen/|log/(embedded|kafka)/|access/|service/|proof/|cli/|app\\.ts|main\\.ts)",
);
/** A clock, a timer or chance. */
const CLOCK = new RegExp(
  [
    /\bDate\.now\b|\bnew Date\(\s*\)|\bDate\(\s*\)|\bperformance\b/,
    /\bprocess\.(hrtime|uptime)\b|\bBun\.(nanoseconds|sleep|sleepSync|randomUUIDv[0-9])\b/,
    /\b(setTimeout|setInterval)\b|\bAbortSignal\.timeout\b/,
    /\bMath\.random\b|\brandom(UUID|Bytes|Int)\b|\bgetRandomValues\b|\bnode:timers\b/,
  ]
    .map(({ source }) => source)
    .join("|"),
);
const VAGUE_NAME = /(^|\/)(utils?|common|helpers?|types|misc|shared|index)(\.test)?(\.ts$|\/)/;
const KEBAB_NAME = /^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.ts$/;
const KEBAB_FOLDER = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const HOME = ["home", "root", "Users", "work", "tmp"].join("|");
const MACHINE_PATH = new RegExp(`(^|[^A-Za-z0-9_.:/-])/(${HOME})/[A-Za-z0-9._]`);
/** Apart from what follows it, so that this file keeps its own rules. */
const REJECTS = ".rejects";
const TEST_CALL = "test";
const SKIP = /\b(test|it|describe)\.(skip|skipIf|todo|todoIf|if)\b/;
/** In a comment above, or in the title itself. */
const SKIP_REASON = /\/\/ Skipped: \S|\(skipped, \S/;

export const TIDY_RULES: readonly TidyRule[] = [
  {
    title: `a line has at most ${MAX_COLUMNS} columns`,
    appliesTo: BREAKABLE,
    faults: (file) => linesWhere(file, (line) => [...line].length > MAX_COLUMNS),
    broken: { path: "src/a.ts", text: `// ${"é".repeat(MAX_COLUMNS - 2)}` },
    kept: { path: "src/a.ts", text: `// ${"é".repeat(MAX_COLUMNS - 3)}` },
  },
  {
    title: "a line ends without blanks and without a carriage return, and the file with a newline",
    appliesTo: OURS,
    faults: (file) => [
      ...linesWhere(file, (line) => /\s$/.test(line)),
      ...(file.text === "" || file.text.endsWith("\n") ? [] : [`${file.path}: no newline at end`]),
    ],
    broken: { path: "src/a.ts", text: "export {}; \n" },
    kept: { path: "src/a.ts", text: "export {};\n" },
  },
  {
    title: "engine and domains are given time and chance, and read no clock",
    appliesTo: TIMELESS,
    faults: (file) => codeLinesWhere(file, (line) => CLOCK.test(line)),
    broken: { path: "src/stream/a.ts", text: "const now = Date.now();" },
    kept: { path: "src/stream/a.ts", text: "// not Date.now\nconst at = new Date(timeMs);" },
  },
  {
    title: "no file names a path of one machine",
    appliesTo: /./,
    faults: (file) => linesWhere(file, (line) => MACHINE_PATH.test(line)),
    broken: { path: "README.md", text: `cd /${HOME.slice(0, 4)}/ann/depositaja` },
    kept: { path: "README.md", text: "cd depositaja; curl http://localhost:8080/work/feed" },
  },
  {
    title: "no test is singled out",
    appliesTo: TEST,
    faults: (file) => codeLinesWhere(file, (line) => /\b(test|it|describe)\.only\b/.test(line)),
    broken: { path: "test/a.test.ts", text: `${TEST_CALL}.only("keeps order", () => {});` },
    kept: { path: "test/a.test.ts", text: 'test("keeps order", () => {});' },
  },
  {
    title: "a rejection is awaited by rejection() of test/rejection.ts, which says why",
    appliesTo: TEST,
    faults: (file) => codeLinesWhere(file, (line) => /(\)|^)\s*\.(rejects|resolves)\b/.test(line)),
    broken: { path: "test/a.test.ts", text: `await expect(work)\n  ${REJECTS}.toThrow();` },
    kept: { path: "test/a.test.ts", text: "await rejection(work);" },
  },
  {
    title: 'a test that may be skipped says why: "// Skipped: <reason>" on the line above',
    appliesTo: TEST,
    faults: (file) => {
      const lines = file.text.split("\n");
      return codeLinesWhere(file, (line, index) => {
        return SKIP.test(line) && !SKIP_REASON.test(`${lines[index - 1]}\n${lines[index]}`);
      });
    },
    broken: { path: "test/a.test.ts", text: `${TEST_CALL}.skip("keeps order", () => {});` },
    kept: {
      path: "test/a.test.ts",
      text: `// Skipped: no statfs here\n${TEST_CALL}.skip("keeps order", () => {});`,
    },
  },
  {
    title: "files and folders are named in kebab-case, for their noun",
    appliesTo: CODE,
    faults: ({ path }) => {
      const folders = path.split("/");
      const name = folders.pop() ?? "";
      const isKebab = KEBAB_NAME.test(name) && folders.every((part) => KEBAB_FOLDER.test(part));
      return isKebab && !VAGUE_NAME.test(path) ? [] : [`${path}: name it for what it holds`];
    },
    broken: { path: "src/stream/helpers.ts", text: "" },
    kept: { path: "src/stream/row-key.ts", text: "" },
  },
  {
    title: "a module opens with a comment that says what it is",
    appliesTo: /^(src\/(?!gen\/)|bench\/).*\.ts$/,
    faults: ({ path, text }) =>
      /^(#!.*\n)?\/\*\*/.test(text) ? [] : [`${path}: no header comment`],
    broken: { path: "src/a.ts", text: "export const a = 1;" },
    kept: { path: "src/a.ts", text: "/** One. */\nexport const a = 1;" },
  },
  {
    title: "nothing is exported again from elsewhere",
    appliesTo: CODE,
    faults: (file) =>
      /^export\s+(type\s+)?(\*|\{[^}]*\})[^;{]*\bfrom\b/m.test(withoutComments(file.text))
        ? [`${file.path}: import from the defining file instead`]
        : [],
    broken: { path: "src/a.ts", text: 'export type {\n  B,\n} from "./b.ts";' },
    kept: { path: "src/a.ts", text: 'import { b } from "./b.ts";\nexport const a = b;' },
  },
  {
    title: "what is left to do carries an issue's number",
    appliesTo: /^(?!test\/house\/).*\.(ts|proto|md|ya?ml)$/,
    faults: (file) =>
      linesWhere(file, (line) => /\b(TODO|FIXME|XXX)\b(?!\(#\d+\))/.test(line)),
    broken: { path: "src/a.ts", text: "// TODO: later" },
    kept: { path: "src/a.ts", text: "// TODO(#12): later" },
  },
  {
    title: "packages are pinned exactly",
    appliesTo: /^package\.json$/,
    faults: ({ path, text }) => unpinned(text).map((name) => `${path}: ${name} is not pinned`),
    broken: { path: "package.json", text: '{"dependencies":{"hono":"^4.0.0"}}' },
    kept: { path: "package.json", text: '{"dependencies":{"hono":"4.0.0"}}' },
  },
];

function linesWhere(
  { path, text }: SourceFile,
  isBroken: (line: string, index: number) => boolean,
): string[] {
  return text
    .split("\n")
    .flatMap((line, index) =>
      isBroken(line, index) ? [`${path}:${index + 1}: ${line.trim().slice(0, 120)}`] : [],
    );
}

function codeLinesWhere(
  { path, text }: SourceFile,
  isBroken: (line: string, index: number) => boolean,
): string[] {
  return linesWhere({ path, text: withoutComments(text) }, isBroken);
}

function unpinned(packageJson: string): string[] {
  const { dependencies, devDependencies } = JSON.parse(packageJson) as {
    dependencies?: Record<string, string>;
    devDependencies?: Record<string, string>;
  };
  return Object.entries({ ...dependencies, ...devDependencies })
    .filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))
    .map(([name]) => name);
}
