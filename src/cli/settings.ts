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
import { parseConfig } from "./config-file.ts";
import { nearest } from "./nearest-name.ts";
import { UsageError } from "./usage-error.ts";

export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Settings {
  /** The data folder, absolute. */
  readonly data: string;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly allowHosts: readonly string[];
  /** Null when not said: then a new log gets the default. */
  readonly partitions: number | null;
  readonly decimals: number | null;
  /** Null: no health service. */
  readonly health: number | null;
  /** Null: a service tells what it does, other commands only what goes wrong. */
  readonly logLevel: LogLevel | null;
  readonly brokers: null;
}

export type SettingName = keyof Settings;

/** What commander has of the flags; a repeatable one as an array. */
export type Flags = Readonly<Partial<Record<SettingName | "config", string | string[]>>>;

export interface SettingsSources {
  readonly flags: Flags;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where relative paths begin and `config.env` is looked for. */
  readonly folder: string;
}

export interface ReadSettings<Name extends SettingName> {
  readonly settings: Pick<Settings, Name>;
  /** Sentences for stderr: what was read from which file, what was not understood. */
  readonly notes: readonly string[];
}

interface Definition<T> {
  readonly flag: string;
  readonly variable: string;
  /** Another name for it in a settings file. */
  readonly fileKey?: string;
  /** Null when the text is no such value. */
  readonly parse: (text: string, folder: string) => T | null;
  readonly wanted: string;
  readonly fallback: T;
}

type Definitions = { readonly [Name in SettingName]: Definition<Settings[Name]> };

export const DEFAULT_DATA = "./depositaja-data";
export const DEFAULT_HOST = "127.0.0.1";
export const DEFAULT_PORT = 8080;
const CONFIG_FILE = "config.env";
const MAX_PORT = 65_535;
const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;

const DEFINITIONS: Definitions = {
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
  partitions: {
    flag: "--partitions",
    variable: "DEPOSITAJA_PARTITIONS",
    parse: (text) => wholeNumber(text, { from: 1, to: 1_024 }),
    wanted: "a number from 1 to 1024",
    fallback: null,
  },
  decimals: {
    flag: "--decimals",
    variable: "DEPOSITAJA_DECIMALS",
    parse: (text) => wholeNumber(text, { from: 0, to: 18 }),
    wanted: "a number from 0 to 18",
    fallback: null,
  },
  health: {
    flag: "--health",
    variable: "DEPOSITAJA_HEALTH",
    parse: (text) => wholeNumber(text, { from: 0, to: MAX_PORT }),
    wanted: `a port, 0 (any free one) to ${MAX_PORT}`,
    fallback: null,
  },
  logLevel: {
    flag: "--log-level",
    variable: "DEPOSITAJA_LOG_LEVEL",
    parse: (text) => LOG_LEVELS.find((level) => level === text) ?? null,
    wanted: "debug, info, warning or error",
    fallback: null,
  },
  brokers: {
    flag: "--brokers",
    variable: "DEPOSITAJA_BROKERS",
    fileKey: "BROKER",
    parse: () => null,
    wanted: "left out: Apache Kafka comes with a later version, until then the log is embedded",
    fallback: null,
  },
};

/** Throws UsageError that names the setting, its source and what is wanted. */
export function readSettings<Name extends SettingName>(
  names: readonly Name[],
  sources: SettingsSources,
): ReadSettings<Name> {
  const file = readFile(sources);
  const notes = [...file.notes, ...unknownVariables(sources.environment)];
  const settings: Record<string, unknown> = {};
  for (const name of ["brokers" as const, ...names]) {
    settings[name] = readOne(name, sources, file);
  }
  return { settings: settings as Pick<Settings, Name>, notes };
}

interface SettingsFile {
  readonly path: string;
  readonly entries: ReadonlyMap<string, string>;
  readonly notes: readonly string[];
}

function readOne(name: SettingName, sources: SettingsSources, file: SettingsFile): unknown {
  const { flag, variable, fileKey, parse, wanted, fallback } = DEFINITIONS[name];
  const found = sources.flags[name];
  const candidates: [string, string | undefined][] = [
    [flag, Array.isArray(found) ? found.join(",") : found],
    [variable, sources.environment[variable] || undefined], // set to nothing is not set
    [`${variable} in ${file.path}`, file.entries.get(variable)],
    [`${fileKey} in ${file.path}`, fileKey === undefined ? undefined : file.entries.get(fileKey)],
  ];
  for (const [source, text] of candidates) {
    if (text === undefined) continue;
    const value = parse(text, sources.folder);
    if (value === null) throw new UsageError(`${source} is "${text}": it must be ${wanted}`);
    return value;
  }
  return typeof fallback === "string" ? parse(fallback, sources.folder) : fallback;
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
  for (const { variable, fileKey } of Object.values(DEFINITIONS)) {
    if (fileKey !== undefined && entries.has(variable) && entries.has(fileKey)) {
      throw new UsageError(`${path}: ${fileKey} and ${variable} are one setting: keep one of them`);
    }
  }
  const said = [...entries].map(([key, value]) => `${key}=${value}`).join(" ");
  return { path, entries, notes: [`settings from ${full}: ${said === "" ? "none" : said}`] };
}

const VARIABLES = Object.values(DEFINITIONS).map(({ variable }) => variable);
const KNOWN_KEYS = Object.values(DEFINITIONS).flatMap(({ variable, fileKey }) =>
  fileKey === undefined ? [variable] : [variable, fileKey],
);

/** What the test command reads. */
const TEST_PREFIX = "DEPOSITAJA_TEST_";

/** Not an error: a cluster's own variables may begin with a service's name. */
function unknownVariables(environment: SettingsSources["environment"]): string[] {
  return Object.keys(environment)
    .filter((key) => key.startsWith("DEPOSITAJA_") && !key.startsWith(TEST_PREFIX))
    .filter((key) => !VARIABLES.includes(key))
    .map((key) => `the variable ${key} is no setting and is not used${nearest(key, VARIABLES)}`);
}

function wholeNumber(text: string, { from, to }: { from: number; to: number }): number | null {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  return value >= from && value <= to ? value : null;
}
