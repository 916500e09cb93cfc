/**
 * What to do where a service cannot be asked at all.
 *
 *   failure, plan ──> the words of a LoadError
 */

import type { LoadPlan } from "./load-plan.ts";
import type { Failure } from "./worker.ts";

/** Where the first request has no answer. */
export function unreachableWords({ code, words }: Failure, { url, ca }: LoadPlan): string {
  if (code === "untrusted") {
    const another = ca === null ? "" : "; another one than now";
    return `${words}; name the certificate of its authority (PEM) with --ca${another}`;
  }
  if (code === "no_https") return `${words}; if it speaks HTTP, write http://${url.host}`;
  if (code === "connection_lost" && url.protocol === "http:") {
    return `${words}; if it speaks HTTPS, write https://${url.host}`;
  }
  return `${words}; is \`serve\` or \`up\` running?`;
}

/** Where it answers 401 or 403. */
export function deniedWords(
  { code, words }: Failure,
  { status, url, apiKey }: LoadPlan & { readonly status: number },
): string {
  const said = `${url.host} answers ${status}: ${words}`;
  if (code === "foreign_host") return said; // which says what to do
  if (apiKey !== null) return `${said}; the key is that of --key-file`;
  return `${said}; name a file that holds a key with --key-file`;
}
