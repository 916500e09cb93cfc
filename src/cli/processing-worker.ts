/**
 * The worker thread of `up`: all processors, so that processing does not hold up answers.
 *
 *   up (main thread: HTTP) ──"stop"──> this thread ──"ready"──> up
 *                          ──"numbers"──> ──what the processors do──>
 *
 * It opens the log by itself, and can be stopped while it does. When a processor can't go on at
 * all the thread ends, and `up` with it.
 */

import { parentPort, workerData } from "node:worker_threads";
import type { App } from "../app.ts";
import { openOnceUsable } from "./data.ts";
import type { KafkaSettings } from "./kafka-settings.ts";
import { setUpLogging } from "./logging.ts";
import type { LogLevel } from "./settings.ts";
import { stopProcessors } from "./stop-processors.ts";
import { whenAborted } from "./stopping.ts";

export interface WorkerSettings {
  readonly data: string;
  readonly kafka: KafkaSettings | null;
  readonly logLevel: LogLevel;
}

export type WorkerMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "numbers"; readonly processors: readonly ProcessorNumbers[] }
  | { readonly kind: "failed"; readonly message: string };

type Processors = ReturnType<App["startProcessors"]>;
export type ProcessorNumbers = ReturnType<Processors[number]["numbers"]>;

/** What `up` says. */
export type WorkerOrder = "stop" | "numbers";

/** Runs until "stop" comes; then the thread ends by itself. Tells `up` when it cannot go on. */
export async function runProcessingWorker(): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error("the processing worker has no parent: start `up` instead");
  const tell = (message: WorkerMessage) => port.postMessage(message);
  const stopping = new AbortController();
  let running: Processors = [];
  port.on("message", (order: WorkerOrder) => {
    if (order === "stop") stopping.abort();
    else tell({ kind: "numbers", processors: running.map((each) => each.numbers()) });
  });
  try {
    const { data, kafka, logLevel } = workerData as WorkerSettings;
    await setUpLogging(logLevel);
    const { allProcessors } = await import("./processor-names.ts");
    const opening = { create: false, recordChecks: ["regular"], purpose: "process" } as const;
    const app = await openOnceUsable({ data, kafka }, opening, stopping.signal);
    if (app === null) process.exit(0); // what it reaches for keeps the thread alive
    const processors = app.startProcessors(allProcessors);
    running = processors;
    tell({ kind: "ready" });
    const ended = Promise.all(processors.map(({ done }) => done));
    await Promise.race([whenAborted(stopping.signal), ended, app.damaged]);
    await stopProcessors(processors);
    await app.close();
    port.close();
  } catch (error) {
    tell({ kind: "failed", message: (error as Error).message });
    process.exit(1);
  }
}
