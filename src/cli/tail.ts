/**
 * `tail <topic>`: a topic's newest records, decoded as far as it goes, and those that come.
 *
 *   topic ──read back from its end──> newest that fit ──> lines ──> --follow: the next ones
 */

import type { App } from "../app.ts";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { withData } from "./data.ts";
import { bytesJson, messageJson, textOf } from "./dead-letter-json.ts";
import { bytesText, plainText } from "./dead-letter-text.ts";
import { watchLog } from "./log-watch.ts";
import { note, print, printJson } from "./output.ts";
import { delay } from "./stopping.ts";
import { utcText } from "./time-text.ts";
import { CommandError, UsageError } from "./usage-error.ts";
import { wholeNumber } from "./whole-number.ts";

type LogRecord = Parameters<App["tails"]["content"]>[0];

/** More is a job for a program that reads the log. */
const MAX_LAST = 10_000;

const OPTIONS = {
  name: "tail",
  description: "Show a topic's newest records, decoded.",
  settings: DATA_SETTINGS,
  examples: [
    "tail deposit",
    "tail deposit --key alice --last 100",
    "tail flag_wallet --from 2026-01-31T12:00:00Z --to 2026-01-31T13:00:00Z --json",
    "tail balance-dead-letters --follow",
  ],
  remarks:
    "Times are those at which the log took a record: from --from on, up to and without --to.\n" +
    "Amounts stand in minor units, as the message has them. --json prints one object a line.",
} as const;

interface Flags {
  readonly key?: string;
  readonly from?: string;
  readonly to?: string;
  readonly last: string;
  readonly follow?: true;
  readonly json?: true;
}

export function tailCommand() {
  return newCommand(OPTIONS)
    .argument("<topic>", "a stream, or <group>-dead-letters; in a cluster also <group>-table")
    .option("--key <key>", "only records with this key, such as a wallet id")
    .option("--from <time>", "RFC 3339 or Unix milliseconds")
    .option("--to <time>", "the same")
    .option("--last <count>", "so many of the newest that fit", "10")
    .option("--follow", "then print what comes, until Ctrl-C")
    .option("--json", "print JSON")
    .action((topic: string, flags: Flags) => {
      const last = wholeNumber("--last", flags.last, 0, MAX_LAST);
      if (flags.follow && flags.to !== undefined) {
        throw new UsageError("--to is an end and --follow has none: leave one of them out");
      }
      return runWith(OPTIONS, flags, ({ settings, stopping }) =>
        withData(settings, (app) => {
          const isCluster = settings.kafka !== null;
          return tail(app, { topic, last, flags, stopping, isCluster });
        }),
      );
    });
}

async function tail(
  app: App,
  { topic, last, flags, stopping, isCluster }: TailRequest,
): Promise<void> {
  const { tails, wallets } = app;
  if (!tails.topics.includes(topic)) {
    const known = tails.topics.join(", ");
    throw new UsageError(`there is no topic ${topic} to read: known are ${known}`);
  }
  const show = (record: LogRecord) => {
    if (flags.json) printJson(recordJson(app, record));
    else print(recordLine(app, record));
  };
  const options = {
    topic,
    signal: stopping,
    ...(flags.key === undefined ? {} : { fits: hasKey(app, flags.key) }),
    ...(flags.from === undefined ? {} : { fromMs: wallets.timeMs(flags.from) }),
    ...(flags.to === undefined ? {} : { toMs: wallets.timeMs(flags.to) }),
  };
  const { records, ends, isCut } = await tails.newest({ ...options, last });
  if (stopping.aborted) throw new CommandError("interrupted: not all was read");
  if (isCut) note(`only the newest ${records.length} are kept: more do not fit in memory`);
  if (records.length === 0 && last > 0 && !flags.follow) note("no record fits");
  for (const record of records) show(record);
  if (!flags.follow) return;
  const alive = setInterval(() => {}, LONG_MS); // a log that waits does not keep a process alive
  // Brokers that are away look like a topic where nothing comes.
  if (isCluster) void watchLog({ problem: () => app.log.problem, delay, signal: stopping });
  try {
    await tails.follow(options, ends, show);
  } finally {
    clearInterval(alive);
  }
}

/** Of no meaning. */
const LONG_MS = 60_000;

interface TailRequest {
  readonly topic: string;
  readonly last: number;
  readonly flags: Flags;
  readonly stopping: AbortSignal;
  readonly isCluster: boolean;
}

function hasKey({ tails }: App, key: string): (record: LogRecord) => boolean {
  const wanted = Buffer.from(key);
  return (record) => {
    // Of a changelog it is a part of the record's key; most records are told by a look.
    const { buffer, byteOffset, length } = record.key;
    if (!Buffer.from(buffer, byteOffset, length).includes(wanted)) return false;
    return wanted.equals(tails.content(record).key);
  };
}

function recordLine({ tails }: App, record: LogRecord): string {
  const { key, id, about, message } = tails.content(record);
  const said = [
    ...(about === null ? [] : [plainText(about)]),
    ...(id === null ? [] : [`id ${bytesText(bytesJson(id))}`]),
    message === undefined ? valueText(record) : plainText(JSON.stringify(messageJson(message))),
  ];
  const position = `${record.partition}-${record.offset}`;
  const shownKey = key.length === 0 ? "-" : bytesText(bytesJson(key));
  return [position, utcText(record.timestampMs), shownKey, ...said].join("  ");
}

function valueText({ value }: LogRecord): string {
  return value === null ? "no value" : `${value.length} bytes: ${bytesText(bytesJson(value))}`;
}

function recordJson({ tails }: App, record: LogRecord): object {
  const { topic, partition, offset, timestampMs, value, headers } = record;
  const { key, id, type, about, message } = tails.content(record);
  return {
    topic,
    position: `${partition}-${offset}`,
    timestamp_ms: timestampMs,
    timestamp: utcText(timestampMs),
    /** Null when it is not UTF-8: `raw_key` has it then. */
    key: textOf(key),
    id: id === null ? null : textOf(id),
    type,
    /** Null where there is none, or where it can't be read: `value` has its bytes. */
    message: message === undefined ? null : messageJson(message),
    about,
    raw_key: bytesJson(record.key),
    value: value === null ? null : bytesJson(value),
    headers: headers.map(([name, bytes]) => ({ name, ...bytesJson(bytes) })),
  };
}
