/**
 * The executable: one program, its commands, and the thread that it starts of itself.
 *
 *   main thread ──> commands        worker thread (of `up`) ──> processors
 */

import { backtestCommand } from "./cli/backtest.ts";
import { backupCommand } from "./cli/backup.ts";
import { checkCommand } from "./cli/check.ts";
import { configCommand } from "./cli/config.ts";
import { deadLettersCommand } from "./cli/dead-letters.ts";
import { depositCommand } from "./cli/deposit.ts";
import { flagCommand } from "./cli/flag.ts";
import { flagsCommand } from "./cli/flags.ts";
import { importCommand } from "./cli/import.ts";
import { keysCommand } from "./cli/keys.ts";
import { loadCommand } from "./cli/load.ts";
import { migrateCommand } from "./cli/migrate.ts";
import { processCommand } from "./cli/process.ts";
import { runProcessingWorker } from "./cli/processing-worker.ts";
import { runProgram } from "./cli/program.ts";
import { restoreCommand } from "./cli/restore.ts";
import { rulesCommand } from "./cli/rules.ts";
import { sampleCommand } from "./cli/sample.ts";
import { serveCommand } from "./cli/serve.ts";
import { statusCommand } from "./cli/status.ts";
import { tailCommand } from "./cli/tail.ts";
import { topicsCommand } from "./cli/topics.ts";
import { topologyCommand } from "./cli/topology.ts";
import { upCommand } from "./cli/up.ts";
import { verifyCommand } from "./cli/verify.ts";

async function main(): Promise<void> {
  if (!Bun.isMainThread) return runProcessingWorker();
  const commands = [
    upCommand(),
    serveCommand(),
    processCommand(),
    depositCommand(),
    checkCommand(),
    flagCommand(),
    flagsCommand(),
    importCommand(),
    sampleCommand(),
    deadLettersCommand(),
    verifyCommand(),
    rulesCommand(),
    backtestCommand(),
    backupCommand(),
    restoreCommand(),
    topicsCommand(),
    statusCommand(),
    tailCommand(),
    topologyCommand(),
    configCommand(),
    keysCommand(),
    migrateCommand(),
    loadCommand(),
  ];
  process.exit(await runProgram(commands, process.argv.slice(2)));
}

void main();
