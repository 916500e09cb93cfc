/**
 * `backup <file>`: the data folder's log as one file, as of one moment, while everything runs.
 *
 *   log.db ──snapshot──> FILE, checked
 */

import { resolve } from "node:path";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { noData, refuseUnusable } from "./data.ts";
import { refuseCluster } from "./log-file.ts";
import { tellOfAction } from "./operator-log.ts";
import { print, printJson } from "./output.ts";
import { quote, startedAs } from "./started-as.ts";

const OPTIONS = {
  name: "backup",
  description: "Write the data folder's log to one file, also while everything runs.",
  settings: DATA_SETTINGS,
  examples: ["backup deposits.backup", "backup /mnt/backups/2026-11-21.db --data ./deposits"],
  remarks:
    "The file holds every deposit, flag event, operator's action, dead letter and id, as of one\n" +
    "moment; the tables are left out, for they are built again from it. It is checked, record\n" +
    "by record, before it gets its name, and never overwrites a file. `restore` makes a data\n" +
    "folder of it. A Kafka cluster's topics are backed up by the cluster's own means.",
} as const;

interface Flags {
  readonly json?: true;
}

export function backupCommand() {
  return newCommand(OPTIONS)
    .argument("<file>", "the file to write")
    .option("--json", "print JSON")
    .action((name: string, flags: Flags) =>
      runWith(OPTIONS, flags, async ({ settings: { data: folder, kafka } }) => {
        refuseCluster(kafka, "back up its topics by its own means, such as a mirrored cluster");
        const file = resolve(name);
        const startMs = performance.now();
        const { backUp } = await import("../administration/backup.ts");
        refuseUnusable(folder);
        const { records, bytes } = await backUp({ folder, file }).catch((error: unknown) => {
          throw (error as { code?: unknown }).code === "not_found" ? noData(folder, error) : error;
        });
        tellOfAction("backed {folder} up to {file}", { folder, file });
        const seconds = (performance.now() - startMs) / 1_000;
        if (flags.json) {
          return printJson({ file, records, bytes, seconds: Number(seconds.toFixed(3)) });
        }
        print(`${folder} is backed up: ${records.toLocaleString("en")} records, each checked`);
        print(`${file}: ${bytes.toLocaleString("en")} bytes, ${seconds.toFixed(1)} s`);
        print("");
        print("back into a new folder:");
        print(`  ${startedAs()} restore ${quote(file)} --data <folder>`);
      }),
    );
}
