/**
 * `restore <file> --data DIR`: a data folder made of a backup.
 *
 *   FILE ──copied, checked──> a log of another incarnation in a new folder
 */

import { resolve } from "node:path";
import { DATA_SETTINGS, newCommand, runWith } from "./command.ts";
import { refuseCluster } from "./log-file.ts";
import { tellOfAction } from "./operator-log.ts";
import { note, print, printJson } from "./output.ts";
import { quote, startedAs } from "./started-as.ts";

const OPTIONS = {
  name: "restore",
  description: "Make a new data folder of a backup.",
  settings: DATA_SETTINGS,
  examples: ["restore deposits.backup --data ./deposits-again"],
  remarks:
    "The folder must be empty or not there. The file is checked first, record by record, and\n" +
    "is left as it is. The restored log is another incarnation: what was deposited after the\n" +
    "backup is not in it, and its positions will be given to other deposits. Tables are built\n" +
    "again at the next start.",
} as const;

interface Flags {
  readonly json?: true;
}

export function restoreCommand() {
  return newCommand(OPTIONS)
    .argument("<file>", "the backup")
    .option("--json", "print JSON")
    .action((name: string, flags: Flags) =>
      runWith(OPTIONS, flags, async ({ settings: { data: folder, kafka } }) => {
        refuseCluster(kafka, "restore into a data folder; `migrate` takes that to a cluster");
        const file = resolve(name);
        const { restore } = await import("../administration/backup.ts");
        const { records, isSealed } = await restore({ folder, file });
        tellOfAction("restored {file} into {folder}", { file, folder });
        if (isSealed) note("the log was sealed when it was backed up: it was moved to a cluster");
        if (flags.json) return printJson({ data: folder, records });
        print(`${folder} is restored: ${records.toLocaleString("en")} records, each checked`);
        print("");
        print("next:");
        print(`  ${startedAs()} up --data ${quote(folder)}`);
        print(`  ${startedAs()} verify --data ${quote(folder)}`);
      }),
    );
}
