/**
 * Settings, wherever they come from.
 *
 *   flag ──else──> DEPOSITAJA_* ──else──> --config FILE or ./config.env ──else──> default
 *
 * Each has one name in the environment and in the file; the file knows PORT and BROKER as well.
 * A command reads the settings that it takes, so that another one's fault does not stop it.
 */

import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ACCESS_SETTINGS, type AccessValues } from "./access-settings.ts";
import { parseConfig } from "./config-file.ts";
import { parseHealthPlace } from "./health-place.ts";
import {
  KAFKA_SETTINGS,
  kafkaNotes,
  type KafkaSettings,
  kafkaSettingsOf,
  type KafkaValues,
} from "./kafka-settings.ts";
import { nearest } from "./nearest-name.ts";
import type { SettingTable } from "./setting.ts";
import { unknownVariables } from "./unknown-variables.ts";
import { UsageError } from "./usage-error.ts";

export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Settings extends AccessValues {
  /** The data folder, absolute. */
  readonly data: string;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly allowHosts: readonly string[];
  /** Null when not said: then a new log gets the default. */
  readonly partitions: number | null;
  readonly decimals: number | null;
  /** Address and port; null: no health service. */
  readonly health: string | null;
  /** Null: a service tells what it does, other commands only what goes wrong. */
  readonly logLevel: LogLevel | null;
}

export type SettingName = keyof Settings;
type AnyName = SettingName | keyof KafkaValues;

/** What commander has of the flags; a repeatable one as an array, one without a value as true. */
export type Flags = Readonly<Partial<Record<AnyName | "config", string | string[] | true>>>;

export interface SettingsSources {
  readonly flags: Flags;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where relative paths begin and `config.env` is looked for. */
  readonly folder: string;
}

/** Which log; every command takes them. */
export interface LogSettings {
  /** Null for the embedded log: nobody names brokers. */
  readonly kafka: KafkaSettings | null;
  /** What of it was typed, for a command to type next: "--brokers", "kafka:9092". */
  readonly typedKafka: readonly string[];
}

export interface ReadSettings<Name extends SettingName> {
  readonly settings: Pick<Settings, Name> & LogSettings;
  /** Sentences for stderr: what was read from which file, what was not understood. */
  readonly notes: readonly string[];
}

export const DEFAULT_DATA = "./depositaja-data";
export const DEFAULT_HOST = "127.0.0.1";
export const DEFAULT_PORT = 8080;
const CONFIG_FILE = "config.env";
const MAX_PORT = 65_535;
const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;

const OWN_SETTINGS: SettingTable<Settings> = {
  data: {
    flag: "--data",
    variable: "DEPOSITAJA_DATA",
    parse: (text, folder) => (text === "" ? null : resolve(folder, text)),
    wanted: "the path of a folder",
    fallback: DEFAULT_DATA,
  },
  host: {
    flag: "--host",
    variable: "DEPOSITAJA_HOST",
    parse: (text) => (/^[A-Za-z0-9.:_-]+$/.test(text) ? text : null),
    wanted: "a host name or an address",
    fallback: DEFAULT_HOST,
  },
  port: {
    flag: "--port",
    variable: "DEPOSITAJA_PORT",
    fileKey: "PORT",
    parse: (text) => wholeNumber(text, { from: 0, to: MAX_PORT }),
    wanted: `a number from 0 (any free port) to ${MAX_PORT}`,
    fallback: DEFAULT_PORT,
  },
  allowHosts: {
    flag: "--allow-host",
    variable: "DEPOSITAJA_ALLOW_HOST",
    parse: (text) => {
      const hosts = text.split(",").map((host) => host.trim());
      return hosts.every((host) => /^(\*|[A-Za-z0-9.:_[\]-]+)$/.test(host)) ? hosts : null;
    },
    wanted: "host names, or * for any",
    fallback: [],
  },
  ...ACCESS_SETTINGS,
  partitions: {
    flag: "--partitions",
    variable: "DEPOSITAJA_PARTITIONS",
    parse: (text) => wholeNumber(text, { from: 1, to: 1_024 }),
    wanted: "a number from 1 to 1024",
    fallback: null,
    unsaid: "as the log has it, 8 for a new one",
  },
  decimals: {
    flag: "--decimals",
    variable: "DEPOSITAJA_DECIMALS",
    parse: (text) => wholeNumber(text, { from: 0, to: 18 }),
    wanted: "a number from 0 to 18",
    fallback: null,
    unsaid: "as the log has it, 2 for a new one",
  },
  health: {
    flag: "--health",
    variable: "DEPOSITAJA_HEALTH",
    parse: parseHealthPlace,
    wanted: `a port, 0 (any free one) to ${MAX_PORT}, or address:port`,
    fallback: null,
  },
  logLevel: {
    flag: "--log-level",
    variable: "DEPOSITAJA_LOG_LEVEL",
    parse: (text) => LOG_LEVELS.find((level) => level === text) ?? null,
    wanted: "debug, info, warning or error",
    fallback: null,
    unsaid: "info for what serves, else warning",
  },
};

const SETTINGS: SettingTable<Settings & KafkaValues> = { ...OWN_SETTINGS, ...KAFKA_SETTINGS };
const KAFKA_NAMES = Object.keys(KAFKA_SETTINGS) as (keyof KafkaValues)[];
/** All but those that reach a cluster, which every command takes. */
export const SETTING_NAMES = Object.keys(OWN_SETTINGS) as SettingName[];

/** Throws UsageError that names the setting, its source and what is wanted. */
export function readSettings<Name extends SettingName>(
  names: readonly Name[],
  sources: SettingsSources,
): ReadSettings<Name> {
  const file = readFile(sources);
  const read = (wanted: readonly AnyName[]) =>
    Object.fromEntries(wanted.map((name) => [name, readOne(name, sources, file)]));
  const own = read(names) as { readonly [Each in Name]: Said<Each> };
  const ofKafka = read(KAFKA_NAMES) as { readonly [Each in keyof KafkaValues]: Said<Each> };
  const kafka = kafkaSettingsOf({
    values: valuesOf(ofKafka) as unknown as KafkaValues,
    sourceOf: (name) => ofKafka[name].source,
  });
  return {
    settings: { ...(valuesOf(own) as Pick<Settings, Name>), kafka, typedKafka: typed(sources) },
    notes: [
      ...file.notes,
      ...unknownVariables(sources.environment, VARIABLES),
      ...(kafka === null ? [] : kafkaNotes(kafka)),
    ],
  };
}

/** One setting as it comes to hold. */
export interface EffectiveSetting {
  /** Its name in the environment. */
  readonly variable: string;
  /** Null for none; a secret that is said is "***". */
  readonly value: unknown;
  /** What none means, where that is not plain. */
  readonly unsaid: string | null;
  readonly origin: Origin;
  /** "--port", "PORT in config.env"; null for a default. */
  readonly source: string | null;
}

export type Origin = "flag" | "environment" | "file" | "default";

/** All of them, in the order in which they are documented. Throws as `readSettings` does. */
export function effectiveSettings(sources: SettingsSources): readonly EffectiveSetting[] {
  readSettings(SETTING_NAMES, sources); // what does not go together, too
  const file = readFile(sources);
  return (Object.keys(SETTINGS) as AnyName[]).map((name) => {
    const { variable, isSecret, unsaid = null } = SETTINGS[name];
    const { value, source, origin } = readOne(name, sources, file);
    const shown = isSecret === true && source !== null ? SECRET : value;
    return { variable, value: shown, unsaid, origin, source };
  });
}

const SECRET = "***";

function typed({ flags }: SettingsSources): string[] {
  return KAFKA_NAMES.flatMap((name) => {
    const { flag } = KAFKA_SETTINGS[name];
    const value = flags[name];
    if (flag === null || value === undefined) return [];
    return value === true ? [flag] : [flag, String(value)];
  });
}

/** A value and who says it; null: nobody, and it is the default. */
interface Said<Name extends AnyName> {
  readonly value: (Settings & KafkaValues)[Name];
  readonly source: string | null;
  readonly origin: Origin;
}

function valuesOf(said: Readonly<Record<string, { readonly value: unknown }>>) {
  return Object.fromEntries(Object.entries(said).map(([name, { value }]) => [name, value]));
}

interface SettingsFile {
  readonly path: string;
  readonly entries: ReadonlyMap<string, string>;
  readonly notes: readonly string[];
}

function readOne(
  name: AnyName,
  sources: SettingsSources,
  file: SettingsFile,
): { readonly value: unknown; readonly source: string | null; readonly origin: Origin } {
  const { flag, variable, fileKey, parse, wanted, fallback, isSecret } = SETTINGS[name];
  const found = sources.flags[name];
  const key = fileKey !== undefined && file.entries.has(fileKey) ? fileKey : variable;
  const candidates: [Origin, string | null, string | undefined][] = [
    ["flag", flag, Array.isArray(found) ? found.join(",") : found?.toString()],
    ["environment", variable, sources.environment[variable] || undefined], // empty is not set
    ["file", `${key} in ${file.path}`, file.entries.get(key)],
  ];
  for (const [origin, source, text] of candidates) {
    if (text === undefined) continue;
    const value = parse(text, sources.folder);
    if (value !== null) return { value, source, origin };
    const shown = isSecret === true ? "" : ` is "${text}": it`;
    throw new UsageError(`${source}${shown} must be ${wanted}`);
  }
  const isText = typeof fallback === "string" && fallback !== "";
  const value = isText ? parse(fallback, sources.folder) : fallback;
  return { value, source: null, origin: "default" };
}

function readFile({ flags, folder }: SettingsSources): SettingsFile {
  const named = flags.config as string | undefined;
  const path = named ?? CONFIG_FILE;
  const full = resolve(folder, path);
  if (named === undefined && !existsSync(full)) return { path, entries: new Map(), notes: [] };
  let text: string;
  try {
    text = readFileSync(full, "utf8");
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const reason = code === "ENOENT" ? "it is not there" : message;
    throw new UsageError(`the settings file ${full} cannot be read: ${reason}`, { cause: error });
  }
  const entries = parseConfig(text, path);
  for (const key of entries.keys()) {
    if (KNOWN_KEYS.includes(key)) continue;
    throw new UsageError(`${path}: ${key} is no setting${nearest(key, KNOWN_KEYS)}`);
  }
  for (const { variable, fileKey } of Object.values(SETTINGS)) {
    if (fileKey !== undefined && entries.has(variable) && entries.has(fileKey)) {
      throw new UsageError(`${path}: ${fileKey} and ${variable} are one setting: keep one of them`);
    }
  }
  const shown = (key: string, value: string) => (SECRET_KEYS.has(key) ? SECRET : value);
  const said = [...entries].map(([key, value]) => `${key}=${shown(key, value)}`).join(" ");
  return { path, entries, notes: [`settings from ${full}: ${said === "" ? "none" : said}`] };
}

const VARIABLES = Object.values(SETTINGS).map(({ variable }) => variable);
const KNOWN_KEYS = Object.values(SETTINGS).flatMap(({ variable, fileKey }) =>
  fileKey === undefined ? [variable] : [variable, fileKey],
);
const SECRET_KEYS = new Set(
  Object.values(SETTINGS).flatMap(({ variable, isSecret }) => (isSecret ? [variable] : [])),
);

function wholeNumber(text: string, { from, to }: { from: number; to: number }): number | null {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  return value >= from && value <= to ? value : null;
}
