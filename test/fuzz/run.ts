/**
 * `bun run fuzz`: the service, asked by its own document for anything that it does not document.
 *
 *   `up` in a new folder ──/openapi.json──> Schemathesis ──> report, exit code
 */

import { parseArgs } from "node:util";
import { Running, temporaryFolder } from "../end-to-end/program.ts";
import { fuzz, installFuzzer, missingForFuzzer, operatorsKey } from "./schemathesis.ts";

const USAGE = "usage: bun run fuzz [--seconds 60] [--seed N]";
const HELP = `${USAGE}

Starts the service on a data folder of its own and asks each of its routes by /openapi.json, for
about so long: no answer may be a failure, or one that the document does not know. The first run
installs Schemathesis with Python's pip below node_modules.`;
const FAILED = 1;
const WRONG_USAGE = 2;

await main();

async function main(): Promise<void> {
  const { seconds, seed } = readOptions();
  if (missingForFuzzer() !== null) console.log("installing the fuzzer, this once");
  await installFuzzer();
  using folder = temporaryFolder();
  const at = { folder: folder.path };
  const { options, secret } = await operatorsKey(at);
  await using up = new Running(at, "up", "--port", "0", ...options);
  const url = await up.serves();
  const seeded = seed === undefined ? {} : { seed };
  const { isClean, report } = await fuzz({ url, secret, seconds, folder: folder.path, ...seeded });
  console.log(report);
  process.exitCode = isClean ? 0 : FAILED;
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        seconds: { type: "string", default: "60" },
        seed: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      process.exit(0);
    }
    const seconds = Number(values.seconds);
    if (!(seconds > 0)) throw new Error(`--seconds ${values.seconds} is not a time`);
    return { seconds, seed: values.seed };
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    return process.exit(WRONG_USAGE);
  }
}
