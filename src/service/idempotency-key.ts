/**
 * The Idempotency-Key header: `k1`, or a string as RFC 8941 has it, `"k1"`.
 *
 * The draft standard (draft-ietf-httpapi-idempotency-key-header) knows the quoted form only; most
 * clients send the bare one.
 */

import { MAX_DEPOSIT_KEY_BYTES, textProblem } from "../deposits/deposit.ts";
import { DepositError } from "../deposits/deposit-error.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The client's own id of the deposit; null when there is no header. Throws `invalid_key`. */
export function idempotencyKey(headers: Headers): string | null {
  const value = headers.get("idempotency-key");
  if (value === null) return null;
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(value);
  if (quoted !== null) return checked(text((quoted[1] as string).replace(/\\(.)/g, "$1")));
  // Two headers arrive as one value with a comma between them.
  if (/[",]/.test(value)) {
    throw invalid(
      'Idempotency-Key must be given once; one with a comma or a quote in it stands in "quotes"',
    );
  }
  return checked(text(value));
}

/** The door's rule for ids, told by the name that the client knows. */
function checked(key: string): string {
  const problem = textProblem("Idempotency-Key", key, MAX_DEPOSIT_KEY_BYTES);
  if (problem !== null) throw invalid(problem);
  return key;
}

/** Header values arrive as one character a byte. */
function text(value: string): string {
  if (value === "") throw invalid("Idempotency-Key must not be empty");
  if (/^[\x20-\x7e]*$/.test(value)) return value;
  try {
    return utf8.decode(Buffer.from(value, "latin1"));
  } catch {
    throw invalid("Idempotency-Key is not valid UTF-8");
  }
}

function invalid(message: string): DepositError {
  return new DepositError("invalid_key", message);
}
