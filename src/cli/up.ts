/**
 * `up`: the service and all processors in one process.
 *
 *   main thread: HTTP ──> log <── worker thread: collector, detector, flagger
 *
 * The worker opens the same log by itself, so that no answer waits for processing. Neither
 * goes on without the other: a worker that ends ends the process.
 */

import { resolve } from "node:path";
import { Worker } from "node:worker_threads";
import { CREATION_SETTINGS, newCommand, runWith } from "./command.ts";
import { openUnlessStopped, stoppedLine } from "./data.ts";
import { note } from "./output.ts";
import type { WorkerMessage, WorkerSettings } from "./processing-worker.ts";
import { announce, announceData, checkAccess, nextLines, startServing } from "./serving.ts";
import { DEFAULT_DATA, type LogLevel } from "./settings.ts";
import { whenAborted } from "./stopping.ts";
import { CommandError } from "./usage-error.ts";

const OPTIONS = {
  name: "up",
  description: "Run the service and all processors in one process.",
  settings: [...CREATION_SETTINGS, "host", "port", "allowHosts"],
  examples: ["up", "up --port 9000 --data ./deposits"],
  remarks:
    "Makes the data folder where there is none. Stops at Ctrl-C (SIGINT, SIGTERM): requests\n" +
    "under way are answered, batches committed; a second one ends it at once.",
  isService: true,
} as const;

export function upCommand() {
  return newCommand(OPTIONS).action((flags: object) =>
    runWith(OPTIONS, flags, async ({ settings, logLevel, stopping }) => {
      checkAccess(settings);
      const opening = { create: true, leavesCheckpoints: true, purpose: "serve" } as const;
      const app = await openUnlessStopped(settings, opening, stopping);
      if (app === null) return note(stoppedLine(settings));
      try {
        announceData(app, settings);
        const server = startServing(app, settings);
        const worker = startWorker({ data: settings.data, kafka: settings.kafka, logLevel });
        try {
          const stopped = whenAborted(stopping);
          await Promise.race([worker.ready, worker.failed, stopped]);
          if (stopping.aborted) return;
          const { url } = server;
          const { allProcessors, listOf } = await import("./processor-names.ts");
          const defaultData = resolve(DEFAULT_DATA);
          announce([
            `processors  ${listOf(allProcessors)}`,
            `serving     ${url}`,
            ...nextLines({ ...settings, defaultData, url }),
          ]);
          await Promise.race([stopped, worker.failed]);
        } finally {
          await server.stop();
          await worker.stop();
        }
      } finally {
        await app.close();
      }
    }),
  );
}

/** `failed` rejects when the thread ends unasked. */
function startWorker(settings: WorkerSettings & { readonly logLevel: LogLevel }) {
  const worker = new Worker(Bun.main, { workerData: settings });
  const ready = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  const ended = Promise.withResolvers<void>();
  failed.promise.catch(() => {}); // heard where `up` waits
  const fail = (reason: string) =>
    failed.reject(new CommandError(`the processors have ended: ${reason}`));
  worker.on("message", (message: WorkerMessage) => {
    if (message.kind === "ready") ready.resolve();
    else fail(message.message);
  });
  worker.on("error", (error) => fail((error as Error).message));
  worker.on("exit", (code) => {
    fail(`their thread ended with code ${code}`);
    ended.resolve();
  });
  return {
    ready: ready.promise,
    failed: failed.promise,
    stop: async () => {
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, no window
      worker.postMessage("stop");
      await ended.promise;
    },
  };
}
