/**
 * What `load` is told, from text to a plan. Each fault says which option, and what it wants.
 *
 *   flags ──> LoadPlan | UsageError
 */

import { MAX_DECIMALS, MoneyError, parseAmount } from "../money.ts";
import {
  type AmountRange,
  type LoadPlan,
  REQUEST_KINDS,
  type RequestKind,
} from "../proof/load/load-plan.ts";
import { certificateIn, textOf } from "./pem-files.ts";
import { UsageError } from "./usage-error.ts";
import { wholeNumber } from "./whole-number.ts";

/** As commander has them; all but the switches have a default. */
export interface LoadFlags {
  readonly keyFile?: string;
  readonly ca?: string;
  readonly workers: string;
  readonly rate?: string;
  readonly mix: string;
  readonly wallets: string;
  readonly walletPrefix: string;
  readonly skew: string;
  readonly amount: string;
  readonly keys?: true;
  readonly duration: string;
  readonly warmUp: string;
  readonly timeout: string;
  readonly seed?: string;
  readonly verify?: true;
  readonly json?: true;
}

/** A process has so many connections open without special settings. */
const MAX_WORKERS = 10_000;
const MAX_RATE = 1_000_000;
/** Their balances are kept in memory while a load is verified. */
const MAX_WALLETS = 10_000_000;
const MAX_SKEW = 10;
const MAX_SHARE = 1_000;
const MAX_SEED = 4_294_967_295;
const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
/** As a service takes it: src/service/admission.ts. */
const KEY = /^[A-Za-z0-9._~+/=-]{1,256}$/;
/** Numbers by chance have so many bits. */
const MAX_AMOUNT_SPAN = 2n ** 32n;

/** Throws `UsageError`. */
export function loadPlan(url: string, flags: LoadFlags): LoadPlan {
  const rate = flags.rate;
  return {
    ...serviceOf(url, flags),
    workers: wholeNumber("--workers", flags.workers, 1, MAX_WORKERS),
    ratePerSecond: rate === undefined ? null : wholeNumber("--rate", rate, 1, MAX_RATE),
    mix: mix(flags.mix),
    wallets: wholeNumber("--wallets", flags.wallets, 1, MAX_WALLETS),
    walletPrefix: prefix(flags.walletPrefix),
    skew: skew(flags.skew),
    amounts: amounts(flags.amount),
    hasKeys: flags.keys === true,
    warmUpMs: duration("--warm-up", flags.warmUp, 0),
    durationMs: duration("--duration", flags.duration, 1),
    timeoutMs: duration("--timeout", flags.timeout, 1),
    seed: wholeNumber("--seed", flags.seed ?? String(Date.now() % MAX_SEED), 0, MAX_SEED),
    verifies: flags.verify === true,
  };
}

function serviceOf(
  text: string,
  { ca, keyFile }: LoadFlags,
): Pick<LoadPlan, "url" | "ca" | "apiKey"> {
  const url = serviceUrl(text);
  if (ca !== undefined && url.protocol !== "https:") {
    throw new UsageError(`--ca is for HTTPS: write https://${url.host}, or leave it out`);
  }
  return {
    url,
    ca: ca === undefined ? null : certificateIn({ path: ca, source: "--ca" }),
    apiKey: keyFile === undefined ? null : keyIn(keyFile),
  };
}

/** A flag would show the key to every user of the machine; so does no message. */
function keyIn(path: string): string {
  const text = textOf({ path, source: "--key-file" }).trim();
  if (KEY.test(text)) return text;
  const hint = text.includes("sha256:") ? " (it has the hashes, which `serve --keys` takes)" : "";
  throw new UsageError(
    `--key-file: ${path} holds no key${hint}: one line is wanted, as \`keys create\` prints it`,
  );
}

function serviceUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isService =
    url !== null &&
    ["http:", "https:"].includes(url.protocol) &&
    `${url.pathname}${url.search}${url.hash}${url.username}` === "/";
  if (isService) return url;
  throw new UsageError(
    `"${text}" is not the address of a service: write one like http://127.0.0.1:8080`,
  );
}

function skew(text: string): number {
  const value = /^[0-9]{1,2}(\.[0-9]{1,6})?$/.test(text) ? Number(text) : Number.NaN;
  if (value <= MAX_SKEW) return value;
  const wanted = `a number from 0 to ${MAX_SKEW}, such as 0.9`;
  throw new UsageError(`--skew is "${text}": it must be ${wanted}`);
}

function duration(option: string, text: string, leastMs: number): number {
  const [, count = "", unit = ""] = /^([0-9]{1,9})(ms|s|m|h)$/.exec(text) ?? [];
  const ms = count === "" ? Number.NaN : Number(count) * (UNITS_MS[unit] as number);
  if (ms >= leastMs) return ms;
  throw new UsageError(`${option} is "${text}": it must be a time such as 500ms, 30s or 5m`);
}

function mix(text: string): LoadPlan["mix"] {
  const shares: Partial<Record<RequestKind, number>> = {};
  for (const part of text.split(",")) {
    const [name = "", share = ""] = part.split("=");
    const kind = REQUEST_KINDS.find((each) => each === name);
    if (kind === undefined || shares[kind] !== undefined || part.split("=").length !== 2) {
      throw mixFault(text);
    }
    shares[kind] = wholeNumber(`--mix: ${name}`, share, 0, MAX_SHARE);
  }
  if (Object.values(shares).every((share) => share === 0)) throw mixFault(text);
  return shares;
}

function mixFault(text: string): UsageError {
  return new UsageError(
    `--mix is "${text}": write shares such as deposit=8,check=2; there are ` +
      `${REQUEST_KINDS.join(", ")}, each at most once, and one of them above 0`,
  );
}

function prefix(text: string): string {
  if (/^[A-Za-z0-9._-]{1,40}$/.test(text)) return text;
  throw new UsageError(
    `--wallet-prefix is "${text}": it must have 1 to 40 letters, digits, points, dashes or _`,
  );
}

/** "5" or "0.01..99.99", with as many decimals as the one that has more. */
function amounts(text: string): AmountRange {
  const [least = "", most = least, more] = text.split("..");
  const decimals = Math.max(decimalsOf(least), decimalsOf(most));
  try {
    if (more === undefined && decimals <= MAX_DECIMALS) {
      const leastMinor = parseAmount(least, decimals);
      const mostMinor = parseAmount(most, decimals);
      const span = mostMinor - leastMinor;
      if (span >= 0n && span < MAX_AMOUNT_SPAN) return { leastMinor, mostMinor, decimals };
    }
  } catch (error) {
    if (!(error instanceof MoneyError)) throw error;
    throw new UsageError(`--amount is "${text}": ${error.message}`, { cause: error });
  }
  throw new UsageError(
    `--amount is "${text}": write an amount such as 12.50, or the least and the most, such as ` +
      `0.01..99.99, at most ${MAX_AMOUNT_SPAN} of the last decimal apart`,
  );
}

function decimalsOf(text: string): number {
  const point = text.indexOf(".");
  return point < 0 ? 0 : text.length - point - 1;
}
