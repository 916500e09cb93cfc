/**
 * Variables of the environment that look like settings and are none: mistakes, but for those that a
 * cluster sets of itself.
 *
 *   DEPOSITAJA_PROT ──> refused, the nearest known named        DEPOSITAJA_SERVICE_HOST ──> note
 */

import { nearest } from "./nearest-name.ts";
import { UsageError } from "./usage-error.ts";

const PREFIX = "DEPOSITAJA_";
/** What the test command reads. */
const TEST_PREFIX = "DEPOSITAJA_TEST_";

/**
 * Kubernetes tells every container of a namespace of each service in it, by these names: with a
 * service that is called depositaja, or depositaja-web, no command would run any more.
 */
const SERVICE_LINKS = [
  /_SERVICE_HOST$/,
  /_SERVICE_PORT(_[A-Z0-9_]+)?$/,
  /_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/,
];
const SERVICE_ADDRESS = /^(tcp|udp|sctp):\/\//;

/** Sentences for stderr. Throws UsageError for a mistake. */
export function unknownVariables(
  environment: Readonly<Record<string, string | undefined>>,
  known: readonly string[],
): string[] {
  const unknown = Object.entries(environment).filter(
    ([key]) => key.startsWith(PREFIX) && !key.startsWith(TEST_PREFIX) && !known.includes(key),
  );
  return unknown.map(([key, value = ""]) => {
    const isAddress = key.endsWith("_PORT") && SERVICE_ADDRESS.test(value);
    if (isAddress || SERVICE_LINKS.some((pattern) => pattern.test(key))) {
      return `the variable ${key} is no setting and is not used`;
    }
    throw new UsageError(`the variable ${key} is no setting${nearest(key, known)}`);
  });
}
