/**
 * `serve`: the HTTP service without processors; deposits are counted by `process` elsewhere.
 *
 *   HTTP ──> log <── `process` in another terminal
 */

import { resolve } from "node:path";
import { CREATION_SETTINGS, newCommand, runWith, SERVICE_SETTINGS } from "./command.ts";
import type { App } from "../app.ts";
import { ALL_RECORD_CHECKS, type DataSettings, openUnlessStopped, stoppedLine } from "./data.ts";
import { note } from "./output.ts";
import {
  announce,
  announceData,
  dataOption,
  type ServingSettings,
  startServing,
  stopLine,
} from "./serving.ts";
import { openAccess, type ServiceAccess } from "./service-access.ts";
import { DEFAULT_DATA } from "./settings.ts";
import { startedAs } from "./started-as.ts";
import { delay, whenAborted } from "./stopping.ts";

/** Between two tries to reach a cluster, each of which takes its time. */
const RETRY_MS = 500;

const OPTIONS = {
  name: "serve",
  description: "Run the HTTP service without processors.",
  settings: [...CREATION_SETTINGS, ...SERVICE_SETTINGS],
  examples: ["serve", "serve --port 9000 --keys ./keys --rate-limit 500"],
  remarks: "Makes the data folder where there is none. Deposits are taken and counted later.",
  isService: true,
} as const;

export function serveCommand() {
  return newCommand(OPTIONS).action((flags: object) =>
    runWith(OPTIONS, flags, async ({ settings, stopping }) => {
      const access = openAccess(settings, stopping);
      const waiting = settings.kafka === null ? null : await startWaiting(settings, access);
      try {
        const app = await openOnceReachable(settings, { waiting, stopping });
        if (app === null) return note(stoppedLine(settings));
        try {
          announceData(app, settings);
          const server = startServing(app, settings, { access, ...waiting });
          const named = dataOption({ ...settings, defaultData: resolve(DEFAULT_DATA) });
          const runs = `none here; run them with \`${startedAs()} process --all${named}\``;
          announce([`processors  ${runs}`, `serving     ${server.url}`, stopLine()]);
          try {
            await Promise.race([whenAborted(stopping), app.damaged]);
          } finally {
            await server.stop();
          }
        } finally {
          await app.close();
        }
      } finally {
        await waiting?.server.stop();
      }
    }),
  );
}

/** Answers from the first moment on, so that whoever looks after it sees that it is alive. */
async function startWaiting({ host, port }: ServingSettings, access: ServiceAccess) {
  const { createWaitingService } = await import("../app.ts");
  const state = { problem: "the cluster is being reached" };
  const problem = () => state.problem;
  const service = createWaitingService({ ...access.options, delay, problem });
  return { state, server: access.follow(service.listen({ host, port, tls: access.tls })) };
}

/** Null when it was stopped first. A cluster that is away is waited for; all else ends it. */
async function openOnceReachable(
  settings: DataSettings,
  options: {
    readonly waiting: { readonly state: { problem: string } } | null;
    readonly stopping: AbortSignal;
  },
): Promise<App | null> {
  const { waiting, stopping } = options;
  const opening = { create: true, recordChecks: ALL_RECORD_CHECKS, purpose: "serve" } as const;
  while (!stopping.aborted) {
    try {
      return await openUnlessStopped(settings, opening, stopping);
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      if (waiting === null || code !== "unavailable") throw error;
      if (waiting.state.problem !== message) note(`not ready: ${message}; trying again`);
      waiting.state.problem = message;
    }
    await delay(RETRY_MS, stopping);
  }
  return null;
}
