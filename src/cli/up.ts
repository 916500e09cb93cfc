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
import { CREATION_SETTINGS, newCommand, runWith, SERVICE_SETTINGS } from "./command.ts";
import { openOnceUsable, stoppedLine } from "./data.ts";
import { note } from "./output.ts";
import type { WorkerSettings } from "./processing-worker.ts";
import { watchThread } from "./processing-thread.ts";
import { announce, announceData, nextLines, startServing } from "./serving.ts";
import { openAccess } from "./service-access.ts";
import { DEFAULT_DATA } from "./settings.ts";
import { delay, whenAborted } from "./stopping.ts";

const OPTIONS = {
  name: "up",
  description: "Run the service and all processors in one process.",
  settings: [...CREATION_SETTINGS, ...SERVICE_SETTINGS],
  examples: ["up", "up --port 9000 --data ./deposits"],
  remarks:
    "Makes the data folder where there is none. Stops at Ctrl-C (SIGINT, SIGTERM): requests\n" +
    "under way are answered, batches committed; a second one ends it at once.",
  isService: true,
} as const;

export function upCommand() {
  return newCommand(OPTIONS).action((flags: object) =>
    runWith(OPTIONS, flags, async ({ settings, logLevel, stopping }) => {
      const access = openAccess(settings, stopping);
      const opening = {
        create: true,
        leavesCheckpoints: true,
        recordChecks: ["start"], // the worker has the regular one
        purpose: "serve",
      } as const;
      const app = await openOnceUsable(settings, opening, stopping);
      if (app === null) return note(stoppedLine(settings));
      try {
        announceData(app, settings);
        let worker: ReturnType<typeof watchThread> | null = null;
        const processors = async () => (await worker?.numbers()) ?? [];
        const server = startServing(app, settings, { access, processors });
        const { data, kafka } = settings;
        const workerData: WorkerSettings = { data, kafka, logLevel };
        worker = watchThread(new Worker(Bun.main, { workerData }), delay);
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
