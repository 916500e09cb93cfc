/**
 * A key of the API: who may call, and how far. Only the hash of its secret is kept.
 *
 *   32 random bytes ──> "dpk_..." (shown once)        sha-256 ──> line of the key file
 *
 * A secret has 256 random bits, so that nobody finds it by trying: a slow hash, which makes guesses
 * at weak passwords dear, would buy nothing here and cost each request its time.
 */

import { AccessError } from "./access-error.ts";

/** What a key is good for: customers' routes; all routes. */
export const SCOPES = ["client", "operator"] as const;
export type Scope = (typeof SCOPES)[number];

export interface ApiKey {
  /** Unique; a name that was revoked is never given again, so that old log lines stay true. */
  readonly name: string;
  readonly scope: Scope;
  /** SHA-256 of the secret, 64 hex digits. */
  readonly hash: string;
  /** Unix milliseconds. */
  readonly createdMs: number;
  /** Null while it is good. */
  readonly revokedMs: number | null;
}

/** A name stands in log lines and beside an operator's own, which may have 128 bytes in all. */
const MAX_NAME_CHARACTERS = 32;
/** Far more than a service has callers; every line is checked at each reload. */
export const MAX_KEYS = 10_000;
/** So that a secret that lies about is known for what it is, by people and by scanners. */
const SECRET_PREFIX = "dpk_";
const SECRET_BYTES = 32;

/** Throws AccessError `invalid_name`. */
export function checkKeyName(name: string): void {
  if (isKeyName(name)) return;
  throw new AccessError(
    "invalid_name",
    `the name ${JSON.stringify(name)} is refused: it must be 1 to ${MAX_NAME_CHARACTERS} of a-z, ` +
      'A-Z, 0-9, ".", "_" and "-", the first a letter or a digit',
  );
}

/** Throws AccessError `invalid_name`. */
export function scopeNamed(text: string): Scope {
  const scope = SCOPES.find((each) => each === text);
  if (scope !== undefined) return scope;
  throw new AccessError("invalid_name", `the scope "${text}" is none: say ${SCOPES.join(" or ")}`);
}

/** A new key and its secret, which nothing keeps. */
export function newApiKey(options: {
  readonly name: string;
  readonly scope: Scope;
  readonly nowMs: number;
}): { readonly key: ApiKey; readonly secret: string } {
  const { name, scope, nowMs } = options;
  checkKeyName(name);
  const random = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
  const secret = `${SECRET_PREFIX}${Buffer.from(random).toString("base64url")}`;
  const key = { name, scope, hash: hashOf(secret), createdMs: nowMs, revokedMs: null };
  return { key, secret };
}

export function hashOf(secret: string): string {
  return Bun.SHA256.hash(secret, "hex");
}

/** As the key file and DEPOSITAJA_KEYS have it. */
export function keyLine({ name, scope, hash, createdMs, revokedMs }: ApiKey): string {
  const times = [`created=${timeText(createdMs)}`].concat(
    revokedMs === null ? [] : [`revoked=${timeText(revokedMs)}`],
  );
  return [name, scope, `sha256:${hash}`, ...times].join(" ");
}

/**
 * Keys of a text: one a line, or with commas between them; a line that begins with `#` is a
 * comment. `place` is what messages call it. Throws AccessError `broken_keys`, whose message shows
 * no part of a line.
 */
export function parseKeys(text: string, place: string): readonly ApiKey[] {
  const keys: ApiKey[] = [];
  const names = new Set<string>();
  const lines = text.split(/\r?\n/).map((line, index) => ({ line, place: `line ${index + 1}` }));
  const entries = lines
    .filter(({ line }) => !isRemark(line))
    .flatMap(({ line, ...where }) => line.split(",").map((each) => ({ line: each, ...where })));
  for (const { line: raw, place: where } of entries) {
    const line = raw.trim();
    const wrong = (what: string) => new AccessError("broken_keys", `${place}, ${where}: ${what}`);
    const key = parseKey(line);
    if (key === null) throw wrong(`not a key: a line of \`keys create\` is wanted, ${EXAMPLE}`);
    if (names.has(key.name)) throw wrong(`the name ${key.name} stands there a second time`);
    if (keys.length === MAX_KEYS) throw wrong(`more than ${MAX_KEYS} keys`);
    names.add(key.name);
    keys.push(key);
  }
  return keys;
}

/**
 * The text with these keys, a line each: those that it has first and in their order, then new
 * ones. What is no key stays in its place.
 */
export function withKeys(text: string, keys: readonly ApiKey[]): string {
  const left = keys.map(keyLine);
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  const kept = lines.flatMap((line) =>
    isRemark(line) ? [line] : left.splice(0, line.split(",").length),
  );
  return [...kept, ...left].map((line) => `${line}\n`).join("");
}

/** Blank, or a comment. */
function isRemark(line: string): boolean {
  return /^\s*(#|$)/.test(line);
}

const EXAMPLE = '"shop client sha256:<64 hex digits> created=2026-01-31T12:00:00.000Z"';
const LINE =
  /^(\S+) +(client|operator) +sha256:([0-9a-f]{64})(?: +created=(\S+))?(?: +revoked=(\S+))?$/;

function parseKey(line: string): ApiKey | null {
  const [, name = "", scope, hash = "", created, revoked] = LINE.exec(line) ?? [];
  const createdMs = created === undefined ? 0 : Date.parse(created);
  const revokedMs = revoked === undefined ? null : Date.parse(revoked);
  if (!isKeyName(name) || Number.isNaN(createdMs) || Number.isNaN(revokedMs)) return null;
  return { name, scope: scope as Scope, hash, createdMs, revokedMs };
}

function isKeyName(name: string): boolean {
  return name.length <= MAX_NAME_CHARACTERS && /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name);
}

function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
