/**
 * `serve`: the HTTP service without processors; deposits are counted by `process` elsewhere.
 *
 *   HTTP ──> log <── `process` in another terminal
 */

import { resolve } from "node:path";
import { CREATION_SETTINGS, newCommand, runWith, SERVICE_SETTINGS } from "./command.ts";
import { ALL_RECORD_CHECKS, openOnceUsable, stoppedLine } from "./data.ts";
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

const OPENING = { create: true, recordChecks: ALL_RECORD_CHECKS, purpose: "serve" } as const;

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
        const tell = (problem: string) => {
          if (waiting !== null) waiting.state.problem = problem;
        };
        const app = await openOnceUsable(settings, OPENING, stopping, tell);
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
