/**
 * `process`: some or all processors, beside a `serve` or other `process` on the same folder.
 *
 *   log ──claims, shared with other processes──> collector, detector, flagger
 */

import type { App, ServiceOwn } from "../app.ts";
import { CREATION_SETTINGS, newCommand, runWith } from "./command.ts";
import { ALL_RECORD_CHECKS, openOnceUsable, stoppedLine } from "./data.ts";
import { healthPlace } from "./health-place.ts";
import { watchLog } from "./log-watch.ts";
import { note } from "./output.ts";
import { type AccessSettings, openAccess } from "./service-access.ts";
import { announce, announceData, stopLine } from "./serving.ts";
import { stopProcessors } from "./stop-processors.ts";
import { delay, whenAborted } from "./stopping.ts";
import { UsageError } from "./usage-error.ts";
import { VERSION } from "./version.ts";

const OPTIONS = {
  name: "process",
  description: "Run processors: collector (balance), detector (threshold), flagger.",
  settings: [
    ...CREATION_SETTINGS,
    ...(["health", "allowHosts", "keys", "keyEntries", "httpsCert", "httpsKey"] as const),
    "insecure",
  ],
  examples: ["process --all", "process collector detector --health 8081"],
  remarks:
    "Makes the data folder where there is none. Several of them share the partitions; what one\n" +
    "leaves, the others take over.",
  isService: true,
} as const;

interface Flags {
  readonly all?: true;
}

export function processCommand() {
  return newCommand(OPTIONS)
    .argument("[processors...]", "which, by either name")
    .option("--all", "all of them")
    .action((names: string[], flags: Flags) =>
      runWith(OPTIONS, flags, async ({ settings, stopping }) => {
        const { allProcessors, listOf, processorsNamed } = await import("./processor-names.ts");
        if (flags.all && names.length > 0) {
          throw new UsageError("name processors or say --all, not both");
        }
        const wanted = flags.all ? allProcessors : processorsNamed(names);
        if (wanted.length === 0) {
          throw new UsageError(`say which processors: ${listOf(allProcessors)}, or --all`);
        }
        const health = healthOf(settings, stopping);
        const recordChecks = ALL_RECORD_CHECKS;
        const opening = { create: true, recordChecks, purpose: "process" } as const;
        const app = await openOnceUsable(settings, opening, stopping);
        if (app === null) return note(stoppedLine(settings));
        try {
          announceData(app, settings);
          let processors: ReturnType<App["startProcessors"]> = [];
          const numbers = async () => processors.map((each) => each.numbers());
          const server = health?.serve(app, numbers) ?? null;
          processors = app.startProcessors(wanted);
          const watching = new AbortController();
          // With health it is told of as "not ready".
          if (server === null) {
            const problem = () => app.log.problem;
            void watchLog({ problem, delay, signal: watching.signal });
          }
          announce([
            `processing  ${listOf(wanted)}`,
            ...(server === null ? [] : [`health      ${server.url}/readyz`]),
            stopLine(),
          ]);
          try {
            const ended = Promise.all(processors.map(({ done }) => done));
            await Promise.race([whenAborted(stopping), ended, app.damaged]);
          } finally {
            watching.abort();
            await server?.stop();
            await stopProcessors(processors);
          }
        } finally {
          await app.close();
        }
      }),
    );
}

type HealthSettings = Omit<AccessSettings, "host" | "corsOrigins" | "hideFlags" | "rateLimit"> & {
  readonly health: string | null;
};

/** Null: nobody asked for it. By the same rules as the service. Throws UsageError, AccessError. */
function healthOf({ health, ...settings }: HealthSettings, stopping: AbortSignal) {
  if (health === null) return null;
  const { host, port } = healthPlace(health);
  const unused = { corsOrigins: [], hideFlags: false, rateLimit: null };
  const access = openAccess({ ...settings, ...unused, host, hostOption: "--health" }, stopping);
  return {
    serve: (app: App, processors: NonNullable<ServiceOwn["processors"]>) => {
      const service = app.createHealthService(access.options, { version: VERSION, processors });
      const place = { host, port, portOption: "--health" };
      return access.follow(service.listen({ ...place, tls: access.tls }));
    },
  };
}
