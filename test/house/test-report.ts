/**
 * What `bun test` reported, and what it kept to itself: a file that throws while it loads, or a
 * test that ends the process, leaves no line in the junit report.
 *
 *   junit XML ──> counts, failed titles, files that ran ──+ files that are there ──> missing
 */

export interface TestReport {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Paths of files with at least one test in the report. */
  readonly files: ReadonlySet<string>;
}

export const NOTHING_REPORTED: TestReport = { passed: 0, failed: 0, skipped: 0, files: new Set() };

/** Reads Bun's own junit report; todo counts as skipped. */
export function parseTestReport(xml: string): TestReport {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const files = new Set<string>();
  for (const [, attributes = "", body = ""] of xml.matchAll(TEST_CASE)) {
    const file = /\bfile="([^"]*)"/.exec(attributes)?.[1];
    if (file !== undefined) files.add(file);
    if (/<(failure|error)\b/.test(body)) counts.failed += 1;
    else if (/<skipped\b/.test(body)) counts.skipped += 1;
    else counts.passed += 1;
  }
  return { ...counts, files };
}

/** The test files that have no test in the report, in order. */
export function filesWithoutTests(report: TestReport, paths: readonly string[]): string[] {
  return paths.filter((path) => !report.files.has(path)).sort();
}

/** Attributes, then the body of a case that has one. Values are escaped: no `>` stands in one. */
const TEST_CASE = /<testcase\b([^>]*?)(?:\/>|>([\s\S]*?)<\/testcase>)/g;
