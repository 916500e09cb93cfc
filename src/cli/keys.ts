/**
 * `keys create|list|revoke`: the keys of the API, in a file that `up` and `serve` follow.
 *
 *   create ──> secret, shown once; its hash ──> file        revoke ──> the line stays, marked
 */

import type { Command } from "commander";
import { type ApiKey, keyLine, newApiKey, scopeNamed } from "../access/api-key.ts";
import { addKey, readKeys, revokeKey } from "../access/key-file.ts";
import { newCommand, newCommandGroup, runWith } from "./command.ts";
import { tellOfAction } from "./operator-log.ts";
import { note, print, printJson } from "./output.ts";
import { table } from "./table.ts";
import { UsageError } from "./usage-error.ts";

const CREATE = {
  name: "create",
  description: "Make a key, and print its secret: this once, it is kept nowhere.",
  settings: ["keys"],
  examples: [
    "keys create shop --scope client --keys ./keys",
    "keys create backoffice --scope operator --keys ./keys",
  ],
  remarks:
    "A client's key is good for deposits, balances and wallets, an operator's for everything.\n" +
    "A service that runs with the file takes it within about a second. --entry writes no file\n" +
    "and prints what DEPOSITAJA_KEYS takes.",
} as const;

const LIST = {
  name: "list",
  description: "List the keys, revoked ones too.",
  settings: ["keys"],
  examples: ["keys list --keys ./keys", "keys list --keys ./keys --json"],
  remarks: "--json prints one object a line.",
} as const;

const REVOKE = {
  name: "revoke",
  description: "Take a key out of use, for good.",
  settings: ["keys"],
  examples: ["keys revoke shop --keys ./keys"],
  remarks:
    "A service that runs with the file refuses it within about a second. Its name is not given\n" +
    "again, so that what the log says of it stays true.",
} as const;

interface Flags {
  readonly scope: string;
  readonly entry?: true;
  readonly keys?: string;
  readonly json?: true;
}

export function keysCommand(): Command {
  const options = {
    name: "keys",
    description: "Create, list and revoke the keys of the API.",
    examples: [CREATE.examples[0]],
  };
  return newCommandGroup(options, [createCommand(), listCommand(), revokeCommand()]);
}

function createCommand(): Command {
  return newCommand(CREATE)
    .argument("<name>", "what log lines call it")
    .requiredOption("--scope <scope>", "client or operator")
    .option("--entry", "write no file, print the line for DEPOSITAJA_KEYS")
    .option("--json", "print JSON")
    .action((name: string, flags: Flags) =>
      runWith(CREATE, flags, async ({ settings }) => {
        const scope = scopeNamed(flags.scope);
        if (flags.entry && flags.keys !== undefined) {
          throw new UsageError("--entry writes no file, and --keys names one: leave one out");
        }
        const { key, secret } = newApiKey({ name, scope, nowMs: Date.now() });
        if (flags.entry) {
          if (flags.json) printJson({ ...keyJson(key), secret, entry: keyLine(key) });
          else print(`${secret}\n${keyLine(key)}`);
          return;
        }
        const path = fileOf(settings);
        addKey(path, key);
        tellOfAction("made the key {key} ({scope}) in {path}", { key: name, scope, path });
        if (flags.json) return printJson({ ...keyJson(key), secret });
        print(secret);
        note("this is the key: it is shown this once. Send it as Authorization: Bearer <key>");
      }),
    );
}

function listCommand(): Command {
  return newCommand(LIST)
    .option("--json", "print JSON")
    .action((flags: Flags) =>
      runWith(LIST, flags, async ({ settings }) => {
        const keys = readKeys(fileOf(settings));
        if (flags.json) return keys.forEach((key) => printJson(keyJson(key)));
        if (keys.length === 0) return print("there are no keys");
        const rows = keys.map((key) => [
          key.name,
          key.scope,
          timeText(key.createdMs) ?? "-",
          timeText(key.revokedMs) ?? "-",
        ]);
        print(table(["name", "scope", "created", "revoked"], rows).join("\n"));
      }),
    );
}

function revokeCommand(): Command {
  return newCommand(REVOKE)
    .argument("<name>", "of the key")
    .option("--json", "print JSON")
    .action((name: string, flags: Flags) =>
      runWith(REVOKE, flags, async ({ settings }) => {
        const path = fileOf(settings);
        const nowMs = Date.now();
        const key = revokeKey(path, name, nowMs);
        const isRevokedNow = key.revokedMs === nowMs;
        if (isRevokedNow) tellOfAction("revoked the key {key} in {path}", { key: name, path });
        if (flags.json) return printJson(keyJson(key));
        if (isRevokedNow) return print(`the key ${name} is revoked`);
        const sinceWhen = timeText(key.revokedMs) ?? "at a time that is not known";
        print(`the key ${name} was revoked before (${sinceWhen}): nothing changed`);
      }),
    );
}

/** Throws UsageError. */
function fileOf({ keys }: { readonly keys: string | null }): string {
  if (keys !== null) return keys;
  throw new UsageError("name the key file with --keys (or DEPOSITAJA_KEYS_FILE)");
}

function keyJson({ name, scope, createdMs, revokedMs }: ApiKey): object {
  return {
    name,
    scope,
    created_at: timeText(createdMs),
    revoked_at: timeText(revokedMs),
  };
}

/** Null for one that is not known. */
function timeText(timeMs: number | null): string | null {
  return timeMs === null || timeMs === 0 ? null : new Date(timeMs).toISOString();
}
