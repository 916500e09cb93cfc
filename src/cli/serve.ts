/**
 * `serve`: the HTTP service without processors; deposits are counted by `process` elsewhere.
 *
 *   HTTP ──> log <── `process` in another terminal
 */

import { resolve } from "node:path";
import { CREATION_SETTINGS, newCommand, runWith } from "./command.ts";
import { openData } from "./data.ts";
import {
  announce,
  announceData,
  checkAccess,
  dataOption,
  startServing,
  stopLine,
} from "./serving.ts";
import { DEFAULT_DATA } from "./settings.ts";
import { startedAs } from "./started-as.ts";
import { whenAborted } from "./stopping.ts";

const OPTIONS = {
  name: "serve",
  description: "Run the HTTP service without processors.",
  settings: [...CREATION_SETTINGS, "host", "port", "allowHosts"],
  examples: ["serve", "serve --host 0.0.0.0 --allow-host deposits.example.org"],
  remarks: "Makes the data folder where there is none. Deposits are taken and counted later.",
  isService: true,
} as const;

export function serveCommand() {
  return newCommand(OPTIONS).action((flags: object) =>
    runWith(OPTIONS, flags, async ({ settings, stopping }) => {
      checkAccess(settings);
      const app = await openData(settings, { create: true });
      try {
        announceData(app, settings.data);
        const server = startServing(app, settings);
        const named = dataOption({ data: settings.data, defaultData: resolve(DEFAULT_DATA) });
        const runs = `none here; run them with \`${startedAs()} process --all${named}\``;
        announce([`processors  ${runs}`, `serving     ${server.url}`, stopLine()]);
        await whenAborted(stopping);
        await server.stop();
      } finally {
        await app.close();
      }
    }),
  );
}
