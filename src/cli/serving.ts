/**
 * What `up` and `serve` share: the HTTP service on an app, from its first word to its stop.
 *
 *   app ──createService──> listen ──> what to type next ──signal──> requests answered
 */

import type { App, ServiceOwn } from "../app.ts";
import { type DataSettings, describeData } from "./data.ts";
import { OutputClosed, print } from "./output.ts";
import type { AccessSettings, ServiceAccess, ServiceServer } from "./service-access.ts";
import type { LogSettings, Settings } from "./settings.ts";
import { quote, startedAs } from "./started-as.ts";
import { VERSION } from "./version.ts";

export type ServingSettings = Pick<Settings, "data" | "host" | "port"> & AccessSettings;

interface ServingParts {
  readonly access: ServiceAccess;
  readonly server?: ServiceServer;
  /** What the processors of this process do; none where it has none. */
  readonly processors?: NonNullable<ServiceOwn["processors"]>;
}

/** On a server that listens already, or on one of its own. Throws ServerError. */
export function startServing(
  app: App,
  { host, port }: ServingSettings,
  { access, server, processors = async () => [] }: ServingParts,
): ServiceServer {
  const service = app.createService(access.options, { version: VERSION, processors });
  if (server === undefined) return access.follow(service.listen({ host, port, tls: access.tls }));
  server.use(service);
  return server;
}

/** What a service says once it stands; a reader that has gone away is no reason to stop. */
export function announce(lines: readonly string[]): void {
  try {
    print(lines.join("\n"));
  } catch (error) {
    if (!(error instanceof OutputClosed)) throw error;
  }
}

/** At once when it is open: a folder that was made is named, whatever goes wrong afterwards. */
export function announceData(app: App, settings: DataSettings): void {
  announce([`data        ${describeData(app, settings)}`]);
}

/** What a command to type next needs to find this data: nothing, ` --data FOLDER`, ... */
export function dataOption({ data, typedKafka, defaultData }: PlaceOptions): string {
  const folder = data === defaultData ? [] : ["--data", data];
  return [...folder, ...typedKafka].map((argument) => ` ${quote(argument)}`).join("");
}

/** Commands to type next, with this data and this address. */
export function nextLines({ url, keys, keyEntries, httpsCert, ...place }: NextOptions): string[] {
  const program = startedAs();
  const named = dataOption(place);
  const hasKeys = keys !== null || keyEntries !== null;
  // curl trusts a file's own certificate, too, not just its authority's.
  const trust = httpsCert === null ? "" : ` --cacert ${quote(httpsCert)}`;
  const curl = `curl${trust}${hasKeys ? ' -H "Authorization: Bearer $KEY"' : ""}`;
  return [
    "",
    "next, in another terminal:",
    ...(hasKeys ? ["  KEY=...  # what `keys create` printed"] : []),
    `  ${curl} -d '{"wallet_id": "alice", "amount": 6000}' ${url}/deposit`,
    `  ${program} deposit alice 4000.01${named}`,
    `  ${curl} ${url}/check/alice`,
    `  ${program} flags alice${named}`,
    "",
    stopLine(),
  ];
}

/**
 * What ends it, from elsewhere too: npx that is killed does not tell the program that it started,
 * so that its pid is not the one to kill.
 */
export function stopLine(): string {
  return `Ctrl-C stops it, or from elsewhere: kill ${process.pid}`;
}

export interface PlaceOptions extends Pick<LogSettings, "typedKafka"> {
  readonly data: string;
  /** Where a command looks that is not told. */
  readonly defaultData: string;
}

export interface NextOptions
  extends PlaceOptions, Pick<AccessSettings, "keys" | "keyEntries" | "httpsCert"> {
  readonly url: string;
}
