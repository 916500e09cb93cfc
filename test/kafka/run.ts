/**
 * `bun run kafka`: a Kafka broker for whoever has no Docker, until Ctrl-C.
 *
 *   --port 9092 --data ./kafka-data ──> broker on 127.0.0.1, its data kept
 */

import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type FileLock, tryLock } from "../../src/log/file-lock.ts";
import { hasJars, missingForBroker } from "./java.ts";
import { JVM_FOR_LOAD, KafkaCluster } from "./kafka-cluster.ts";

const USAGE = "usage: bun run kafka [--port 9092] [--data ./kafka-data]";
const HELP = `${USAGE}

A Kafka broker on 127.0.0.1 for trying things out, until Ctrl-C. It needs Java 17 and Maven, and
keeps what it is given in the data folder.`;
const FAILED = 1;
const WRONG_USAGE = 2;
const HIGHEST_PORT = 65_535;

await main();

async function main(): Promise<void> {
  const { port, folder } = readOptions();
  const missing = await missingForBroker();
  if (missing !== null) fail(missing);
  if (!isFree(port)) fail(`port ${port} of 127.0.0.1 is taken: choose another with --port`);
  const lock = lockFolder(folder);
  const isNew = !existsSync(join(folder, "data-1"));
  if (!(await hasJars())) console.log("fetching the broker's jars (43 MB), this once");
  console.log("starting a Kafka broker, which takes some seconds ...");
  const cluster = await KafkaCluster.start({ folder, port, jvm: JVM_FOR_LOAD }).catch(
    (error: unknown) => fail(error),
  );
  console.log(`serving  127.0.0.1:${port} (one broker, no password, this machine only)`);
  console.log(`data     ${folder} (${isNew ? "new" : "as it was"})`);
  console.log(`log      ${join(folder, "broker-1.log")}`);
  console.log(`stop     Ctrl-C; the data stays`);
  const stopped = Promise.withResolvers<void>();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stopped.resolve());
  // A broker that ends by itself (a full disk) must not leave a command that seems to serve.
  const timer = setInterval(() => cluster.pid() === null && stopped.resolve(), 1_000);
  await stopped.promise;
  clearInterval(timer);
  if (cluster.pid() === null) fail(`the broker has ended\n${cluster.logs()}`);
  await cluster.close();
  lock.release();
  console.log("stopped");
}

function readOptions(): { readonly port: number; readonly folder: string } {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: "string", default: "9092" },
        data: { type: "string", default: "./kafka-data" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
    if (values.help) {
      console.log(HELP);
      process.exit(0);
    }
    const port = Number(values.port);
    if (!Number.isInteger(port) || port < 1 || port > HIGHEST_PORT) {
      throw new Error(`--port ${values.port} is not a port`);
    }
    return { port, folder: resolve(values.data) };
  } catch (error) {
    return fail(`${(error as Error).message}\n${USAGE}`, WRONG_USAGE);
  }
}

/** Kafka's own lock comes too late: of two brokers on one folder both would end. */
function lockFolder(folder: string): FileLock {
  try {
    mkdirSync(folder, { recursive: true });
    const lock = tryLock(join(folder, "lock.db"));
    if (lock !== null) return lock;
  } catch (error) {
    const why = (error as Error).message;
    return fail(`${folder} cannot be the data folder (${why}): choose another with --data`);
  }
  const advice = "stop it first, or choose another folder with --data";
  return fail(`a broker runs on ${folder} already: ${advice}`);
}

function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data: () => {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}

function fail(reason: unknown, code = FAILED): never {
  console.error(`kafka: ${reason instanceof Error ? reason.message : String(reason)}`);
  process.exit(code);
}
