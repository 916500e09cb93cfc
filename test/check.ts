/**
 * Everything that CI checks: `bun run test`, or `bun run test <step>...` for some steps only.
 *
 *   steps, two at a time ──> tests ──> "N passed, N failed, N skipped", exit code
 *
 * Every step runs, so that one run tells all that is wrong. The counts are those of the tests,
 * and one for each other step.
 */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildExecutable } from "./end-to-end/executable.ts";
import { PROGRAM_VARIABLE, STARTS_VARIABLE } from "./end-to-end/program.ts";
import { FUZZER_STEP } from "./fuzz/schemathesis.ts";
import {
  type CheckStep,
  failed,
  type Outcome,
  PASSED,
  skipped,
  type StepResult,
} from "./house/check-step.ts";
import { packageProgram, runCommand } from "./house/command.ts";
import { everyOptionTried } from "./house/every-option.ts";
import { unexplainedKafkaSkips } from "./house/kafka-skips.ts";
import { PROTO_STEPS } from "./house/proto-steps.ts";
import { PROJECT_ROOT, sourceFiles } from "./house/source-files.ts";
import {
  filesWithoutTests,
  NOTHING_REPORTED,
  parseTestReport,
  type TestReport,
} from "./house/test-report.ts";
import { BROKER_STEP } from "./kafka/class-archive.ts";
import { missingForBroker } from "./kafka/java.ts";
import { brokersForRun } from "./kafka/test-brokers.ts";

/** Steps at once: what CI's machine has cores. */
const STEPS_AT_ONCE = 2;
/** One more: those that start programs wait for them half of the time. */
const TEST_FILES_AT_ONCE = 3;

/** For one test, unless it says otherwise: a slow machine under load, not a measurement. */
const TEST_TIMEOUT_MS = 30_000;

const STEPS: readonly CheckStep[] = [
  FUZZER_STEP,
  BROKER_STEP,
  tool("types", "typescript/bin/tsc", "--noEmit"),
  tool("lint", "oxlint/bin/oxlint", "--deny-warnings", "--report-unused-disable-directives"),
  tool("unused", "knip/bin/knip-bun.js", "--no-progress", "--no-config-hints"),
  ...PROTO_STEPS,
];

const TESTS = "tests";

await main(process.argv.slice(2));

async function main(names: readonly string[]): Promise<void> {
  const known = [...STEPS.map(({ name }) => name), TESTS];
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    console.error(`no step ${unknown.join(", ")}; there are ${known.join(", ")}`);
    process.exit(2);
  }
  const isWanted = (name: string) => names.length === 0 || names.includes(name);
  const counts: Record<Outcome, number> = { passed: 0, failed: 0, skipped: 0 };
  const waiting = STEPS.filter(({ name }) => isWanted(name));
  const worker = async () => {
    for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
      counts[await runStep(step)] += 1;
    }
  };
  await Promise.all(Array.from({ length: STEPS_AT_ONCE }, worker));
  if (isWanted(TESTS)) {
    let report = NOTHING_REPORTED;
    let options = failed("the tests did not run");
    const run = async () => {
      const tests = await runTests();
      ({ report, options } = tests);
      return tests;
    };
    // A run that fails without a failed test is a failure of its own.
    if ((await runStep({ name: TESTS, run })) === "failed" && report.failed === 0) {
      counts.failed += 1;
    }
    const all = { name: "test-files", run: () => Promise.resolve(everyFileRan(report)) };
    counts[await runStep(all)] += 1;
    counts[await runStep({ name: "every-option", run: () => Promise.resolve(options) })] += 1;
    counts.passed += report.passed;
    counts.failed += report.failed;
    counts.skipped += report.skipped;
  }
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
}

function tool(name: string, program: string, ...rest: readonly string[]): CheckStep {
  return {
    name,
    run: async () => {
      const { exitCode, everything } = await runCommand(packageProgram(program, ...rest));
      return exitCode === 0 ? PASSED : failed(everything);
    },
  };
}

async function runStep(step: CheckStep): Promise<Outcome> {
  const startedMs = performance.now();
  const { outcome, detail } = await step.run().catch((error: unknown) => failed(String(error)));
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  const mark = { passed: "ok     ", failed: "FAILED ", skipped: "skipped" }[outcome];
  console.log(`${mark} ${step.name.padEnd(15)} ${seconds.padStart(6)} s`);
  if (detail !== "") console.log(detail.replace(/^(?=.)/gm, "        "));
  return outcome;
}

interface TestsResult extends StepResult {
  readonly report: TestReport;
  /** Whether the program was started with all that it offers. */
  readonly options: StepResult;
}

/**
 * Bun's own output goes straight through: only failures are shown, as they come. One Kafka broker
 * serves all the files: each start takes seconds. One executable, too: it starts in a quarter of
 * the processor time that the source takes.
 */
async function runTests(): Promise<TestsResult> {
  const folder = await mkdtemp(join(tmpdir(), "depositaja-tests-"));
  try {
    await using brokers = await brokersForRun();
    const program = await buildExecutable(folder);
    const [reportPath, startsPath] = [join(folder, "junit.xml"), join(folder, "starts.ndjson")];
    const bounds = [`--parallel=${TEST_FILES_AT_ONCE}`, `--timeout=${TEST_TIMEOUT_MS}`];
    const command = ["test", ...bounds].concat(
      ["--only-failures", "--reporter=junit", `--reporter-outfile=${reportPath}`, "./test/"],
    );
    const starts = { [STARTS_VARIABLE]: startsPath };
    const child = Bun.spawn([process.execPath, ...command], {
      cwd: PROJECT_ROOT,
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...brokers.environment, [PROGRAM_VARIABLE]: program, ...starts },
    });
    const exitCode = await child.exited;
    const xml = await readFile(reportPath, "utf8").catch(() => "");
    const report = parseTestReport(xml);
    if (brokers.missing !== null) console.log(brokers.missing);
    const ended = exitCode === 0 ? PASSED : failed(`bun test ended with exit code ${exitCode}`);
    const skips = process.env["CI"] === "true" && brokers.missing === null;
    const unexplained = skips ? unexplainedKafkaSkips(xml) : [];
    const withoutBroker = await missingForBroker(); // some of it is tried on one alone
    const look = () => everyOptionTried([program], startsPath).catch((error) => failed(`${error}`));
    const options = withoutBroker === null ? await look() : skipped(withoutBroker);
    if (unexplained.length === 0) return { ...ended, report, options };
    const left = `skipped with a broker at hand:\n${unexplained.join("\n")}`;
    return { ...failed(left), report, options };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function everyFileRan(report: TestReport): StepResult {
  const paths = sourceFiles("test/**/*.test.ts").map(({ path }) => path);
  const missing = filesWithoutTests(report, paths);
  if (missing.length === 0) return PASSED;
  return failed(missing.map((path) => `${path} failed to load, or has no test`).join("\n"));
}
