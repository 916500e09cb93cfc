/**
 * A command's way to the data: opens the folder, stands in where nobody processes, waits, leaves.
 *
 *   settings.data, settings.kafka ──> app ──> read or write ──> settled ──> closed
 */

import { accessSync, constants, statSync } from "node:fs";
import type { App, openApp as OpenApp } from "../app.ts";
import type { KafkaSettings } from "./kafka-settings.ts";
import { note } from "./output.ts";
import { quote, startedAs } from "./started-as.ts";
import { delay, stopSignal, whenAborted } from "./stopping.ts";
import { CommandError } from "./usage-error.ts";

type StandIn = ReturnType<App["standIn"]>;
type Positions = Parameters<StandIn["settle"]>[0];
type Wait = Parameters<Parameters<App["standIn"]>[0]["onWait"]>[0];

/** Between two tries to open a log, each of which takes its time. */
const RETRY_MS = 500;
/** Shorter waits need no word. */
const SILENT_MS = 1_000;
/** Between two words on the same wait: a line that is rewritten, or one line more. */
const TERMINAL_EVERY_MS = 250;
const LINES_EVERY_MS = 5_000;

export interface DataSettings {
  readonly data: string;
  /** Null: the log lies in the folder. Else it need not be there. */
  readonly kafka: KafkaSettings | null;
  readonly partitions?: number | null;
  readonly decimals?: number | null;
}

type OpeningOptions = Pick<
  Parameters<typeof OpenApp>[0],
  "create" | "leavesCheckpoints" | "recordChecks" | "purpose"
>;

/** Of what runs for long. A command comes and goes: `verify` reads all. */
export const ALL_RECORD_CHECKS = ["start", "regular"] as const;

/**
 * Opens data that must be there, and closes it again. Throws CommandError when it is not, or when
 * the program is asked to end first.
 */
export async function withData<T>(
  settings: DataSettings,
  action: (app: App) => Promise<T>,
): Promise<T> {
  const app = await openUnlessStopped(settings, { create: false }, stopSignal());
  if (app === null) throw new CommandError(stoppedLine(settings));
  try {
    return await action(app);
  } finally {
    await app.close();
  }
}

/**
 * Null when the signal fires first: nothing has begun then, and the process can end at once, for a
 * try to reach a cluster takes longer than a stop may. Throws CommandError when no data is there.
 */
export async function openUnlessStopped(
  settings: DataSettings,
  options: OpeningOptions,
  stopping: AbortSignal,
): Promise<App | null> {
  const opening = openData(settings, options);
  const app = await Promise.race([opening, whenAborted(stopping).then(() => null)]);
  if (app === null) opening.then((late) => late.close()).catch(() => {});
  return app;
}

/**
 * As `openUnlessStopped`, for what runs for long: a log that cannot be used for now, since another
 * process holds its lock, is tried again; so is a cluster that is away, where `onProblem` tells of
 * it, for else nobody would hear of addresses that are wrong.
 */
export async function openOnceUsable(
  settings: DataSettings,
  options: OpeningOptions,
  stopping: AbortSignal,
  onProblem: ((problem: string) => void) | null = null,
): Promise<App | null> {
  let said = "";
  while (!stopping.aborted) {
    try {
      return await openUnlessStopped(settings, options, stopping);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      const isWaitedFor = settings.kafka === null || onProblem !== null;
      if (code !== "unavailable" || !isWaitedFor) throw error;
      if (message !== said) note(`not ready: ${message}; trying again`);
      said = message;
      onProblem?.(message);
    }
    await delay(RETRY_MS, stopping);
  }
  return null;
}

/** What is said then. */
export function stoppedLine({ data, kafka }: DataSettings): string {
  if (kafka === null) return `stopped before ${data} was open`;
  return `stopped while the cluster at ${kafka.brokers.join(",")} was being reached`;
}

async function openData(
  { data, kafka, partitions = null, decimals = null }: DataSettings,
  options: OpeningOptions,
): Promise<App> {
  refuseUnusable(data);
  const { openApp } = await import("../app.ts");
  try {
    return await openApp({
      folder: data,
      kafka,
      ...options,
      ...(partitions === null ? {} : { partitions }),
      ...(decimals === null ? {} : { decimals }),
      nowMs: Date.now,
      delay,
    });
  } catch (error) {
    const { code, syscall, message } = error as { code?: string; syscall?: string } & Error;
    if (syscall !== undefined) {
      // Of the system, about a file in the folder, which it names.
      throw new CommandError(`${data} cannot be used for a log (${message})`, { cause: error });
    }
    if (code !== "not_found" || kafka !== null) throw error;
    throw noData(data, error);
  }
}

/** Throws CommandError where the data folder can't be one. */
export function refuseUnusable(data: string): void {
  const problem = folderProblem(data);
  if (problem === null) return;
  const advice = "name a folder with --data";
  throw new CommandError(`${data} cannot be used for a log (${problem}): ${advice}`);
}

export function noData(data: string, cause: unknown): CommandError {
  return new CommandError(
    `there is no data in ${data}: name its folder with --data, or make it with ` +
      `\`${startedAs()} up --data ${quote(data)}\``,
    { cause },
  );
}

/** Why nobody could look into the folder; null when it can be looked into, or is not there. */
function folderProblem(data: string): string | null {
  try {
    if (!statSync(data).isDirectory()) return "it is a file";
    accessSync(data, constants.R_OK | constants.X_OK);
  } catch (error) {
    if ((error as { code?: string }).code === "EACCES") return "permission denied";
  }
  return null;
}

/** What a command does while it stands in: `settle` may be called more than once. */
export interface Settler {
  /** Takes part in a partition before anything is waited for. */
  join(partition: number): void;
  /** `written` names what stands if it fails; null when the command wrote nothing. */
  settle(positions: Positions, written: string | null): Promise<void>;
}

/**
 * What stood there before the command writes: throws CommandError, whose message is of what others
 * wrote, and says that this command wrote nothing and what is to be done `then`.
 */
export async function settleBefore(
  settle: Settler["settle"],
  positions: Positions,
  then: string,
): Promise<void> {
  try {
    await settle(positions, null);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new CommandError(`nothing was written: ${error.message}; then ${then}`, { cause: error });
  }
}

/** Stands in for what has no live member for as long as the action runs. */
export async function withStandIn<T>(
  app: App,
  stopping: AbortSignal,
  action: (settler: Settler) => Promise<T>,
): Promise<T> {
  const progress = new WaitNotice();
  const standIn = app.standIn({
    signal: stopping,
    monotonicMs: () => performance.now(),
    onWait: (wait) => progress.say(wait),
  });
  try {
    return await action({
      join: (partition) => void standIn.join([partition]),
      settle: async (positions, written) => {
        try {
          await standIn.settle(positions);
        } catch (error) {
          // Whatever it is of the log or the engine: what was written stands.
          if (!["StreamError", "LogError"].includes((error as Error).name)) throw error;
          const message = reason(app, error as Error);
          throw new CommandError(failure(message, written), { cause: error });
        } finally {
          progress.clear();
        }
      },
    });
  } finally {
    await standIn.leave();
  }
}

/** Who finds no room or a failing disk when it joins in is told: why nobody goes on. */
function reason({ log }: App, { message, ...error }: Error & { code?: string }): string {
  const { problem } = log;
  return error.code !== "not_settled" || problem === null ? message : `${message}; ${problem}`;
}

function failure(message: string, written: string | null): string {
  if (written === null) return message;
  return `${message}; ${written} is written and stands: it counts once processing goes on`;
}

/** Says what is waited for, once it lasts. */
class WaitNotice {
  private readonly startMs = performance.now();
  private lastMs = Number.NEGATIVE_INFINITY;
  private lastText = "";
  private isLineOpen = false;

  say(wait: Wait): void {
    const nowMs = performance.now();
    const isTerminal = process.stderr.isTTY === true;
    const everyMs = isTerminal ? TERMINAL_EVERY_MS : LINES_EVERY_MS;
    if (nowMs - this.startMs < SILENT_MS || nowMs - this.lastMs < everyMs) return;
    this.lastMs = nowMs;
    const text = waitText(wait);
    if (text === this.lastText) return;
    this.lastText = text;
    if (!isTerminal) return note(text);
    process.stderr.write(`\r\x1b[2K${text}`);
    this.isLineOpen = true;
  }

  clear(): void {
    if (this.isLineOpen) process.stderr.write("\r\x1b[2K");
    this.isLineOpen = false;
    this.lastText = "";
  }
}

export function waitText(wait: Wait): string {
  const { pending, nextOffset, leftRecords, isWithoutOwner, loading } = wait;
  const { group, partition, topic, offset } = pending;
  if (loading !== null) {
    const { at, end } = loading;
    const rows = `at ${(at ?? -1n) + 1n} of ${(end ?? -1n) + 1n} in ${group}-table`;
    return `reading the table's copy: ${group} partition ${partition} ${rows}`;
  }
  const left = `${leftRecords.toLocaleString("en")} record${leftRecords === 1n ? "" : "s"} to go`;
  const nobody = isWithoutOwner ? `; nobody runs ${group} there yet: is \`process\` running?` : "";
  return (
    `processing: ${left} (${group} partition ${partition} at ${nextOffset ?? 0n} of ` +
    `${offset + 1n} in ${topic}${nobody})`
  );
}

/** Where the log is, and what opening made. */
export function describeData(app: App, { data, kafka }: DataSettings): string {
  const { partitions, decimals } = app;
  const where = kafka === null ? data : describeCluster(kafka);
  const made = `created, ${partitions} partitions, ${decimals} decimals`;
  return app.log.wasCreated ? `${where} (${made})` : where;
}

function describeCluster({ brokers, prefix }: KafkaSettings): string {
  return `Kafka at ${brokers.join(",")}${prefix === "" ? "" : `, prefix ${prefix}`}`;
}

