/**
 * `topics [sync]`: the log's topics, declared against actual; in a cluster also brought in line.
 *
 *   comparison ──> one line a topic        sync: plan, shown ──question──> done
 */

import { createInterface } from "node:readline/promises";
import type { ClusterTopics, TopicPlan } from "../administration/cluster-topics.ts";
import type { ReportedTopic } from "../administration/topic-report.ts";
import { CREATION_SETTINGS, newCommand, type Run, runWith } from "./command.ts";
import { tellOfAction } from "./operator-log.ts";
import { note, print, printJson } from "./output.ts";
import { table } from "./table.ts";
import { CommandError, UsageError } from "./usage-error.ts";

const OPTIONS = {
  name: "topics",
  description: "Show the log's topics, declared against actual; sync corrects them.",
  settings: CREATION_SETTINGS,
  examples: ["topics", "topics --brokers kafka:9092", "topics sync --brokers kafka:9092 --dry-run"],
  remarks:
    "sync creates what is missing in the cluster and corrects settings that have drifted; other\n" +
    "settings of a topic stay as they are. A changed partition count is refused. In a data\n" +
    "folder there is nothing to sync. --json prints one object a topic; for sync one object.",
} as const;

interface Flags {
  readonly dryRun?: true;
  readonly deleteUnknown?: true;
  readonly yes?: true;
  readonly json?: true;
}

type TopicsRun = Run<(typeof CREATION_SETTINGS)[number]>;

export function topicsCommand() {
  return newCommand(OPTIONS)
    .argument("[action]", "sync: bring the cluster's topics in line", knownAction)
    .option("--dry-run", "with sync: show what would be done")
    .option("--delete-unknown", "with sync: remove topics of --prefix that are not declared")
    .option("--yes", "with --delete-unknown: do not ask")
    .option("--json", "print JSON")
    .action((action: "sync" | undefined, flags: Flags) =>
      runWith(OPTIONS, flags, async (run) => {
        checkUsage(action, flags, run.settings.kafka);
        if (run.settings.kafka === null) return showFolder(run, flags);
        const { withClusterTopics } = await import("../administration/cluster-topics.ts");
        const { kafka, partitions, decimals } = run.settings;
        await withClusterTopics({ kafka, partitions, decimals, nowMs: Date.now }, (topics) =>
          action === "sync" ? sync(topics, flags, run) : showCluster(topics, flags),
        );
      }),
    );
}

/** Throws UsageError. */
function knownAction(action: string): string {
  if (action === "sync") return action;
  throw new UsageError(`topics knows sync, not ${action}; did you mean \`topics sync\`?`);
}

/** Throws UsageError. */
function checkUsage(
  action: string | undefined,
  { dryRun, deleteUnknown, yes }: Flags,
  kafka: TopicsRun["settings"]["kafka"],
): void {
  if (action !== "sync") {
    const flag = dryRun ? "--dry-run" : deleteUnknown ? "--delete-unknown" : yes ? "--yes" : null;
    if (flag !== null) throw new UsageError(`${flag} goes with sync`);
    return;
  }
  if (kafka === null) {
    throw new UsageError(
      "sync is for a Kafka cluster: name it with --brokers. A data folder's topics can't drift",
    );
  }
  if (!deleteUnknown || kafka.prefix !== "") return;
  throw new UsageError(
    "--delete-unknown needs a --prefix: without one no topic of the cluster can be told to be ours",
  );
}

async function showFolder({ settings }: TopicsRun, flags: Flags): Promise<void> {
  const { embeddedTopics } = await import("../administration/topic-report.ts");
  const { data } = settings;
  const report = await embeddedTopics({ folder: data, nowMs: Date.now }).catch((error: unknown) => {
    if ((error as { readonly code?: unknown }).code !== "not_found") throw error;
    const message = `there is no data in ${data}: name its folder with --data, or a cluster's `;
    throw new CommandError(`${message}brokers with --brokers`, { cause: error });
  });
  show(report, flags);
}

async function showCluster(topics: ClusterTopics, flags: Flags): Promise<void> {
  if (!topics.isLogThere) note("there is no log in the cluster yet");
  show(topics.report, flags);
}

function show(report: readonly ReportedTopic[], flags: Flags): void {
  if (flags.json) return report.forEach((topic) => printJson(topicJson(topic)));
  const rows = report.map((topic) => {
    const { name, holds, partitions, replicas, records, bytes, state } = topic;
    const counts = [partitions, replicas, records, bytes].map((count) => count ?? "-");
    return [name, holds ?? "?", ...counts, retentionText(topic.retention), state].map(String);
  });
  print(table(HEAD, rows).join("\n"));
  for (const { name, drifts } of report) {
    for (const drift of drifts) {
      const danger = drift.endangers ? " (data may be lost by it: nothing starts)" : "";
      print(`${name}: ${driftText(drift)}${danger}`);
    }
  }
}

const HEAD = ["topic", "holds", "partitions", "replicas", "records", "bytes", "kept", "state"];

function retentionText(retention: ReportedTopic["retention"]): string {
  if (retention === null) return "-";
  const { cleanup, retentionMs } = retention;
  const ms = retentionMs === null ? null : `${Math.round(retentionMs / DAY_MS)} d`;
  if (cleanup === "keep") return ms ?? "for good";
  return ms === null ? "newest of a key" : `newest of a key, tombstones ${ms}`;
}

const DAY_MS = 24 * 60 * 60 * 1_000;

async function sync(topics: ClusterTopics, flags: Flags, { stopping }: TopicsRun): Promise<void> {
  const plan = topics.plan({ deletesUnknown: flags.deleteUnknown === true });
  for (const prefix of topics.otherPrefixes) {
    const whose = prefix === "" ? "without a prefix" : `of --prefix ${prefix}`;
    note(`topics ${whose} are another deployment's, and are left alone`);
  }
  for (const { name, drift } of plan.leave) {
    note(`${name}: ${driftText(drift)}: left as it is; move its copies with Kafka's own tools`);
  }
  if (!flags.json) planLines(plan).forEach((line) => print(line));
  if (!flags.dryRun) {
    if (plan.remove.length > 0 && !flags.yes) await confirm(plan.remove, stopping);
    await apply(topics, plan);
  }
  if (flags.json) return printJson(planJson(plan, flags));
  const { create, correct, remove } = plan;
  const isNothing = create.length + correct.length + remove.length === 0;
  print(isNothing ? "nothing to do" : flags.dryRun ? "nothing was changed: a dry run" : "done");
}

/** What is begun is told of before: where it fails half-way, some of it is done. */
async function apply(topics: ClusterTopics, plan: TopicPlan): Promise<void> {
  const lines = planLines(plan);
  if (lines.length > 0) {
    tellOfAction("began to bring the topics in line: {plan}", { plan: lines.join("; ") });
  }
  await topics.apply(plan);
  if (lines.length > 0) tellOfAction("brought the topics in line", {});
}

function planLines({ create, correct, remove, replicas }: TopicPlan): string[] {
  return [
    ...correct.flatMap(({ name, drifts }) =>
      drifts.map(
        ({ setting, actual, declared }) => `correct  ${name}: ${setting} ${actual} -> ${declared}`,
      ),
    ),
    ...create.map(
      ({ name, partitions }) => `create   ${name}: partitions ${partitions}, replicas ${replicas}`,
    ),
    ...remove.map((name) => `remove   ${name}, with all that it holds`),
  ];
}

/** Throws CommandError unless someone says yes. */
async function confirm(names: readonly string[], stopping: AbortSignal): Promise<void> {
  const what = names.length === 1 ? names[0] : `these ${names.length} topics`;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new UsageError(`nobody can be asked whether ${what} may be removed: say --yes`);
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    lines.on("SIGINT", () => process.emit("SIGINT"));
    const question = `remove ${what} for good, with all that is in it? Type yes: `;
    const answer = await lines.question(question, { signal: stopping }).catch(() => "");
    if (answer.trim() === "yes") return;
    throw new CommandError("nothing was changed");
  } finally {
    lines.close();
  }
}

function driftText({ setting, actual, declared }: ReportedTopic["drifts"][number]): string {
  return `${setting} is ${actual === "" ? "not set" : actual}, declared is ${declared}`;
}

function topicJson(topic: ReportedTopic): Record<string, unknown> {
  return {
    topic: topic.name,
    holds: topic.holds,
    state: topic.state,
    partitions: topic.partitions,
    declared_partitions: topic.declaredPartitions,
    replicas: topic.replicas,
    records: topic.records,
    bytes: topic.bytes,
    cleanup: topic.retention?.cleanup ?? null,
    retention_ms: topic.retention?.retentionMs ?? null,
    drift: topic.drifts.map(({ endangers, setting, declared, actual }) => ({
      setting,
      declared,
      actual,
      endangers_data: endangers,
    })),
  };
}

function planJson({ create, correct, remove, leave }: TopicPlan, flags: Flags): object {
  return {
    dry_run: flags.dryRun === true,
    created: create.map(({ name }) => name),
    corrected: correct.flatMap(({ name, drifts }) =>
      drifts.map(({ setting, actual, declared }) => ({
        topic: name,
        setting,
        from: actual,
        to: declared,
      })),
    ),
    removed: remove,
    left: leave.map(({ name, drift }) => ({
      topic: name,
      setting: drift.setting,
      actual: drift.actual,
      declared: drift.declared,
    })),
  };
}
