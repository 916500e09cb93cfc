/**
 * Who may use the service, as the settings say it together: checked before anything is made, and
 * followed while it serves.
 *
 *   settings ──refused?──> keys, certificate, ... ──files change──> read anew, on the same server
 *
 * A file that cannot be used any more is told of, and what was read before stays.
 */

import { getLogger } from "@logtape/logtape";
import type { App } from "../app.ts";
import { parseKeys } from "../access/api-key.ts";
import { readKeyText } from "../access/key-file.ts";
import { KeyRing } from "../access/key-ring.ts";
import { ACCESS_SETTINGS, type AccessValues } from "./access-settings.ts";
import { followFile } from "./file-follower.ts";
import { note } from "./output.ts";
import { type CertificatePair, certificatePair, textOf } from "./pem-files.ts";
import type { Settings } from "./settings.ts";
import { UsageError } from "./usage-error.ts";

const logger = getLogger(["depositaja", "access"]);

export type AccessSettings = Pick<Settings, "host" | "allowHosts"> &
  AccessValues & {
    /** What names the host, for messages; --host unless told. */
    readonly hostOption?: string;
  };
export type ServiceServer = ReturnType<ReturnType<App["createService"]>["listen"]>;

export interface ServiceAccess {
  readonly options: Parameters<App["createService"]>[0];
  /** Null: HTTP. */
  readonly tls: CertificatePair | null;
  /** The same server, which from now on gets what the files say; until the signal fires. */
  follow(server: ServiceServer): ServiceServer;
}

/** Throws UsageError, AccessError. */
export function openAccess(settings: AccessSettings, signal: AbortSignal): ServiceAccess {
  refuseUnclear(settings);
  refuseOpenDoor(settings);
  const { allowHosts, corsOrigins, hideFlags, rateLimit } = settings;
  const keys = keysOf(settings);
  const certificate = certificateOf(settings);
  return {
    options: {
      ...{ allowHosts, corsOrigins, hidesFlags: hideFlags, rateLimit },
      keys: keys?.ring ?? null,
    },
    tls: certificate?.pair ?? null,
    follow: (server) => {
      keys?.follow(signal);
      certificate?.follow(server, signal);
      return server;
    },
  };
}

/** What is said twice, or by half. */
function refuseUnclear(settings: AccessSettings): void {
  const { keys, keyEntries, httpsCert, httpsKey, rateLimit } = settings;
  if (keys !== null && keyEntries !== null) {
    throw new UsageError("the keys are said twice, by --keys and DEPOSITAJA_KEYS: leave one out");
  }
  if ((httpsCert === null) !== (httpsKey === null)) {
    const [said, wanted] =
      httpsKey === null
        ? ["--https-cert", "the certificate's private key with --https-key"]
        : ["--https-key", "the key's certificate with --https-cert"];
    throw new UsageError(`${said} is half of what HTTPS needs: name ${wanted}`);
  }
  if (rateLimit === null || keys !== null || keyEntries !== null) return;
  throw new UsageError("--rate-limit counts the requests of each key: name a key file with --keys");
}

/** Other machines may not come in unasked, or be heard on their way. */
function refuseOpenDoor(settings: AccessSettings): void {
  const { host, hostOption = "--host", allowHosts } = settings;
  const { keys, keyEntries, httpsCert, insecure } = settings;
  const isLoopback = /^(localhost|127(\.\d+){3}|::1)$/.test(host);
  if (isLoopback) return;
  const lets = `${hostOption} ${host} lets other machines in`;
  const hasKeys = keys !== null || keyEntries !== null;
  // All at once, so that nobody is told thrice.
  const missing = [
    allowHosts.length > 0
      ? ""
      : ": name what they call this one with --allow-host NAME, or let any name in with " +
        "--allow-host '*'",
    hasKeys || insecure
      ? ""
      : " and asks nobody for a key: name a key file with --keys (`keys create` makes one), or " +
        "let everyone do everything with --insecure",
    httpsCert !== null || insecure
      ? ""
      : " and their keys would be sent as they are: name a certificate with --https-cert and " +
        "--https-key, or, where something in front speaks HTTPS, say --insecure",
  ].filter((each) => each !== "");
  if (missing.length > 0) {
    const [first = "", ...others] = missing;
    const begin = first.startsWith(":") ? first : `,${first}`;
    throw new UsageError([`${lets}${begin}`, ...others].join(";"));
  }
  if (!hasKeys) note(`--insecure: whoever reaches ${host} can deposit, read all and remove flags`);
  else if (httpsCert === null) note(`--insecure: keys are sent to ${host} as they are`);
}

function keysOf({ keys: path, keyEntries }: AccessSettings) {
  if (path === null && keyEntries === null) return null;
  const place = path ?? ACCESS_SETTINGS.keyEntries.variable;
  const text = path === null ? (keyEntries as string) : readKeyText(path);
  const ring = new KeyRing(parseKeys(text, place));
  const nobody = "has no key that is good: every request is refused";
  if (ring.count === 0) note(`${place} ${nobody}`);
  return {
    ring,
    follow: (signal: AbortSignal) => {
      if (path === null) return; // what a process was started with does not change
      const read = () => readKeyText(path);
      const name = `the key file ${path}`;
      const use = (now: string) => {
        ring.use(parseKeys(now, path));
        if (ring.count === 0) logger.warn(`{name} ${nobody}`, { name });
      };
      followFile({ name, used: text, signal }, read, use);
    },
  };
}

function certificateOf({ httpsCert, httpsKey }: AccessSettings) {
  if (httpsCert === null || httpsKey === null) return null;
  const certFile = { path: httpsCert, source: "--https-cert" };
  const keyFile = { path: httpsKey, source: "--https-key" };
  const read = () => `${textOf(certFile)}\n${textOf(keyFile)}`;
  const used = read();
  return {
    pair: certificatePair(certFile, keyFile),
    follow: (server: ServiceServer, signal: AbortSignal) => {
      const use = () => server.useTls(certificatePair(certFile, keyFile));
      followFile({ name: `the certificate ${httpsCert}`, used, signal }, read, use);
    },
  };
}
