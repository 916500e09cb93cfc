/**
 * Why a cluster does not let this client in, in words for whoever set it up.
 *
 *   error of a connection ──> it is not let in: `unusable_place`    may pass: a hint, or nothing
 *
 * No message holds a secret: errors of kafkajs, TLS and the broker name none, and what is added
 * here are the user's name and what to check.
 */

import { LogError } from "../event-log.ts";
import type { KafkaAccess } from "./connections.ts";
import { isLoginRefused, messageOf, typeOf } from "./retry.ts";
import { SocketCode } from "./socket.ts";

/** Of the broker's certificate, as TLS names what is wrong with it (verify(1) of OpenSSL). */
const UNTRUSTED = new Set([
  "SELF_SIGNED_CERT_IN_CHAIN",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_UNTRUSTED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_CHAIN_TOO_LONG",
  "INVALID_CA",
]);
const OTHER_NAME = new Set(["ERR_TLS_CERT_ALTNAME_INVALID", "HOSTNAME_MISMATCH"]);
/** Of this client's: the broker's alerts (RFC 8446, section 6.2), as BoringSSL names them. */
const CLIENT_REFUSED =
  /ALERT_(BAD|UNSUPPORTED)_CERTIFICATE|ALERT_CERTIFICATE_|ALERT_UNKNOWN_CA|ALERT_ACCESS_DENIED/i;
const NOTHING_IN_COMMON = /ALERT_(PROTOCOL_VERSION|HANDSHAKE_FAILURE|INSUFFICIENT_SECURITY)/i;
const NO_TLS = /WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG/i;
const OUT_OF_TIME = new Set(["CERT_HAS_EXPIRED", "CERT_NOT_YET_VALID"]);

/** `unusable_place` when it is certain that trying again does not help; null when it may pass. */
export function refusalOf(error: unknown, access: KafkaAccess): LogError | null {
  const why = saslReason(error, access) ?? tlsReason(error, access);
  if (why === null) return null;
  const at = (error as { readonly broker?: string }).broker ?? access.brokers.join(", ");
  return new LogError("unusable_place", `the cluster at ${at} ${why}`, { cause: error });
}

/** The end of a sentence on what an operator may check, while it is not certain. */
export function hintOf(error: unknown, { tls, sasl }: KafkaAccess): string {
  const { code } = error as { readonly code?: string };
  if (code === SocketCode.closedInHandshake && tls !== null) {
    return "; if a broker runs there, its port speaks without TLS: leave --tls out, or name the " +
      "port for TLS";
  }
  if (code === SocketCode.closedUnanswered && tls !== null && tls.cert === undefined) {
    return "; if a broker runs there, it may demand a client's certificate: name it with " +
      "--tls-cert and --tls-key";
  }
  if (code === SocketCode.closedUnanswered && tls === null) {
    return "; if a broker runs there, its port may speak TLS: add --tls";
  }
  if (typeOf(error) === "KafkaJSConnectionClosedError" && sasl === null) {
    return "; a broker that answers first and closes then wants a login: add --sasl, or name a " +
      "port without";
  }
  return "";
}

function saslReason(error: unknown, { sasl }: KafkaAccess): string | null {
  if (sasl === null) return null;
  const mechanism = sasl.mechanism.toUpperCase();
  const type = typeOf(error);
  if (type === "ILLEGAL_SASL_STATE") {
    return "wants no login at this port: leave --sasl out, or name the port for SASL";
  }
  const isRefused = isLoginRefused(error);
  const isUnknown = isRefused && messageOf(error).includes("not supported by the server");
  if (isUnknown || type === "UNSUPPORTED_SASL_MECHANISM") {
    return `does not know SASL ${mechanism}: choose another --sasl, or enable it at the brokers`;
  }
  if (!isRefused) return null;
  return (
    `refuses the login of ${sasl.username} (SASL ${mechanism}): check --sasl-username and the ` +
    "password, and that the user has one for this mechanism"
  );
}

function tlsReason(error: unknown, { tls }: KafkaAccess): string | null {
  const { code = "" } = error as { readonly code?: string };
  if (code === SocketCode.peerSpeaksTls) {
    return "speaks TLS at this port: add --tls, or name the port without";
  }
  if (tls === null) return null;
  if (UNTRUSTED.has(code)) {
    const trusted = tls.ca === undefined ? "the system trusts" : "in the file of --tls-ca";
    return (
      `has a certificate of no authority that ${trusted} (${code}): name the file with its ` +
      "authority's certificate with --tls-ca"
    );
  }
  if (OTHER_NAME.has(code)) {
    return (
      `has a certificate for another name (${messageOf(error)}): name the brokers in --brokers ` +
      "as the certificate does"
    );
  }
  if (OUT_OF_TIME.has(code)) {
    return `has a certificate that is not valid now (${code}): renew it, and check the clocks`;
  }
  // Which of the two names it depends on where in the handshake it happens.
  return alertReason(`${code} ${messageOf(error)}`.replaceAll(" ", "_"), tls.cert !== undefined);
}

function alertReason(text: string, hasCertificate: boolean): string | null {
  if (CLIENT_REFUSED.test(text)) {
    return hasCertificate
      ? "does not accept the client's certificate in the file of --tls-cert: it must be valid, " +
          "and of an authority that the brokers trust"
      : "demands a client's certificate: name it with --tls-cert and --tls-key";
  }
  if (NOTHING_IN_COMMON.test(text)) {
    return "has no version of TLS in common with this client: allow TLS 1.2 or 1.3 there";
  }
  if (!NO_TLS.test(text)) return null;
  return "speaks no TLS at this port: leave --tls out, or name the port for TLS";
}
