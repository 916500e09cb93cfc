/**
 * What all commands share: how one is declared, and what it runs in.
 *
 *   arguments ──commander──> flags ──settings──> action(run) ──> exit code
 */

import { Command, Option } from "commander";
import { kafkaOptions } from "./kafka-options.ts";
import { note } from "./output.ts";
import {
  DEFAULT_DATA,
  DEFAULT_HOST,
  DEFAULT_PORT,
  type Flags,
  type LogLevel,
  type LogSettings,
  readSettings,
  type SettingName,
  type Settings,
  type SettingsSources,
} from "./settings.ts";
import { setUpLogging } from "./logging.ts";
import { startedAs } from "./started-as.ts";
import { stopSignal } from "./stopping.ts";

/** What an action works with. */
export interface Run<Name extends SettingName> {
  readonly settings: Pick<Settings, Name> & LogSettings;
  readonly logLevel: LogLevel;
  /** Fires when the process is asked to end. */
  readonly stopping: AbortSignal;
}

/** Every command finds its data by these. */
export const DATA_SETTINGS = ["data", "logLevel"] as const;
/** And one that may create them by these as well. */
export const CREATION_SETTINGS = [...DATA_SETTINGS, "partitions", "decimals"] as const;

/** And one that serves the API by these. */
export const SERVICE_SETTINGS = [
  ...(["host", "port", "allowHosts", "keys", "keyEntries", "httpsCert", "httpsKey"] as const),
  ...(["insecure", "corsOrigins", "hideFlags", "rateLimit"] as const),
] as const;

/** Of those that are flags. */
const OPTIONS: { readonly [Name in Exclude<SettingName, "keyEntries">]: () => Option } = {
  data: () =>
    new Option(
      "--data <folder>",
      `the data folder (default: ${DEFAULT_DATA}); with --brokers only local copies lie there`,
    ),
  host: () => new Option("--host <address>", `address to listen on (default: ${DEFAULT_HOST})`),
  port: () =>
    new Option("--port <number>", `port to listen on, 0 for any free (default: ${DEFAULT_PORT})`),
  allowHosts: () =>
    new Option(
      "--allow-host <name>",
      "answer requests for this host name too, * for any; repeatable",
    ).argParser(repeatable),
  keys: () =>
    new Option("--keys <file>", "ask for a key of this file; `keys create` makes one"),
  httpsCert: () => new Option("--https-cert <file>", "serve HTTPS with this PEM certificate"),
  httpsKey: () => new Option("--https-key <file>", "and its private key"),
  insecure: () =>
    new Option("--insecure", "let other machines in without keys or without HTTPS"),
  corsOrigins: () =>
    new Option(
      "--cors-origin <origin>",
      "let pages of this origin use the service, such as https://shop.example.org; repeatable",
    ).argParser(repeatable),
  hideFlags: () => new Option("--hide-flags", "do not tell customers what is above the threshold"),
  rateLimit: () => new Option("--rate-limit <count>", "requests a second for one key"),
  partitions: () => new Option("--partitions <count>", "partitions of a new log (default: 8)"),
  decimals: () => new Option("--decimals <count>", "decimals of amounts of a new log (default: 2)"),
  health: () =>
    new Option(
      "--health <port>",
      "serve /healthz, /readyz and /metrics there; on 127.0.0.1, or <address>:<port>",
    ),
  logLevel: () => new Option("--log-level <level>", "debug, info, warning or error"),
};

/** Names that commander makes of flags and that differ from the settings'. */
const FLAG_NAMES: Readonly<Record<string, SettingName>> = {
  allowHost: "allowHosts",
  corsOrigin: "corsOrigins",
};

function repeatable(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}

export interface CommandOptions<Name extends SettingName> {
  readonly name: string;
  readonly description: string;
  readonly settings: readonly Name[];
  /** Lines of `--help`: what follows the program's name, or a whole line with "depositaja". */
  readonly examples: readonly string[];
  /** Further lines of `--help`. */
  readonly remarks?: string;
  /** One that names its brokers otherwise: `--brokers` is taken, and not offered. */
  readonly hidesBrokers?: boolean;
  /** One that serves logs what it does; others only what goes wrong. */
  readonly isService?: boolean;
}

/** A command with the flags of its settings; add arguments, further flags and `runWith`. */
export function newCommand<Name extends SettingName>(options: CommandOptions<Name>): Command {
  const command = newPlainCommand(options);
  for (const name of options.settings) {
    const option: (() => Option) | undefined = OPTIONS[name as keyof typeof OPTIONS];
    if (option !== undefined) command.addOption(option());
  }
  command.option("--config <file>", "settings file (default: ./config.env if there is one)");
  for (const option of kafkaOptions()) {
    const hidden = options.hidesBrokers === true && option.long === "--brokers";
    command.addOption(hidden ? option.hideHelp() : option);
  }
  return command;
}

/** One that opens no log, and so has no settings. */
export function newPlainCommand(
  options: Pick<CommandOptions<never>, "name" | "description" | "examples" | "remarks">,
): Command {
  const command = new Command(options.name).description(options.description);
  const remarks = options.remarks === undefined ? "" : `\n${options.remarks}\n`;
  command.addHelpText("after", () => `${remarks}\nExample:\n${exampleLines(options.examples)}`);
  return command;
}

/** One that others stand below, and that does nothing by itself. */
export function newCommandGroup(
  options: Pick<CommandOptions<never>, "name" | "description" | "examples">,
  commands: readonly Command[],
): Command {
  const names = commands.map((command) => command.name());
  const listed = `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;
  const group = newPlainCommand(options)
    .helpCommand("help [command]", "how to use a command")
    .showHelpAfterError(`say what to do first: ${options.name} ${listed}`);
  for (const command of commands) group.addCommand(command);
  return group;
}

/** With the program's name as it was started: in front, or where a pipe has it. */
function exampleLines(examples: readonly string[]): string {
  const program = startedAs();
  return examples
    .map((line) => {
      const isWhole = line.includes("depositaja ");
      return `  ${isWhole ? line.replace("depositaja", () => program) : `${program} ${line}`}`;
    })
    .join("\n");
}

/** Reads the settings, then runs the action with them; what it throws ends the program. */
export async function runWith<Name extends SettingName>(
  options: CommandOptions<Name>,
  flags: object,
  action: (run: Run<Name>) => Promise<void>,
): Promise<void> {
  const { settings, notes } = readSettings([...options.settings, "logLevel"], sourcesOf(flags));
  for (const sentence of notes) note(sentence);
  const logLevel = settings.logLevel ?? (options.isService === true ? "info" : "warning");
  await setUpLogging(logLevel);
  await action({ settings, logLevel, stopping: stopSignal() });
}

/** Where this process finds its settings. */
export function sourcesOf(flags: object): SettingsSources {
  const named = Object.entries(flags).map(([flag, value]) => [FLAG_NAMES[flag] ?? flag, value]);
  return {
    flags: Object.fromEntries(named) as Flags,
    environment: process.env,
    folder: process.cwd(),
  };
}
