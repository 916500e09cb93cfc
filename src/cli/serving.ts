/**
 * What `up` and `serve` share: the HTTP service on an app, from its first word to its stop.
 *
 *   app ──createService──> listen ──> what to type next ──signal──> requests answered
 */

import type { App } from "../app.ts";
import { describeData } from "./data.ts";
import { OutputClosed, print } from "./output.ts";
import type { Settings } from "./settings.ts";
import { quote, startedAs } from "./started-as.ts";
import { UsageError } from "./usage-error.ts";

export type ServingSettings = Pick<Settings, "data" | "host" | "port" | "allowHosts">;

/** Before anything is made. Throws UsageError. */
export function checkAccess({ host, allowHosts }: ServingSettings): void {
  const isLoopback = /^(localhost|127(\.\d+){3}|::1)$/.test(host);
  if (isLoopback || allowHosts.length > 0) return;
  throw new UsageError(
    `--host ${host} lets other machines in: name what they call this one with --allow-host NAME, ` +
      "or let any name in with --allow-host '*'",
  );
}

/** Throws ServerError when it cannot listen. */
export function startServing(app: App, { host, port, allowHosts }: ServingSettings) {
  return app.createService({ allowHosts }).listen({ host, port });
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
export function announceData(app: App, folder: string): void {
  announce([`data        ${describeData(app, folder)}`]);
}

/** What a command to type next needs to find this data: nothing, or ` --data FOLDER`. */
export function dataOption({ data, defaultData }: Omit<NextOptions, "url">): string {
  return data === defaultData ? "" : ` --data ${quote(data)}`;
}

/** Commands to type next, with this data and this address. */
export function nextLines({ data, defaultData, url }: NextOptions): string[] {
  const program = startedAs();
  const named = dataOption({ data, defaultData });
  return [
    "",
    "next, in another terminal:",
    `  curl -d '{"wallet_id": "alice", "amount": 6000}' ${url}/deposit`,
    `  ${program} deposit alice 4000.01${named}`,
    `  curl ${url}/check/alice`,
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

export interface NextOptions {
  readonly data: string;
  /** Where a command looks that is not told. */
  readonly defaultData: string;
  readonly url: string;
}
