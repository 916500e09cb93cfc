/**
 * Money: exact decimals as bigint minor units.
 *
 *   source text ──parseAmount──> minor units ──formatDecimal──> "12.50"
 *                                            └─formatNumber───> 12.5
 *
 * The scale (decimals, 0 to 18) is fixed for a log when it is created. Amounts are decided on their
 * source text and never pass through a double; nothing is rounded. The grammar is a JSON number's
 * without sign and exponent, and the same for a JSON string's content: digits, without leading
 * zeros, then optionally a point and digits. No spaces, no "+1", no "01", no ".5", no "1.".
 */

export const MAX_DECIMALS = 18;

/** The largest amount of one deposit, in minor units: int64 on the wire. */
export const MAX_AMOUNT_MINOR = 2n ** 63n - 1n;

/** int64's largest has 19 digits: longer text is too large without being converted. */
const MAX_AMOUNT_DIGITS = 19;

export type MoneyErrorCode =
  | "amount_not_a_number"
  | "amount_sign"
  | "amount_exponent"
  | "amount_precision"
  | "amount_not_positive"
  | "amount_too_large";

/** The one error of this layer. The message can be shown to whoever sent the amount. */
export class MoneyError extends Error {
  override readonly name = "MoneyError";
  constructor(
    readonly code: MoneyErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/**
 * The amount of a deposit in minor units, 1 to `MAX_AMOUNT_MINOR`. `text` is a JSON number's
 * source text or a string's content. Trailing zeros count as decimals: at two decimals "1.000" is
 * refused. Throws `MoneyError`.
 */
export function parseAmount(text: string, decimals: number): bigint {
  const parts = /^(-)?(0|[1-9][0-9]*)(?:\.([0-9]+))?([eE][+-]?[0-9]+)?$/.exec(text);
  if (parts === null) throw unreadable(text);
  const [, minus, whole = "", fraction = "", exponent] = parts;
  if (minus !== undefined) throw notPositive();
  if (exponent !== undefined) {
    throw new MoneyError("amount_exponent", "amount must be written without an exponent");
  }
  if (fraction.length > decimals) {
    throw new MoneyError(
      "amount_precision",
      `amount has ${fraction.length} decimals; at most ${decimals} are allowed`,
    );
  }
  const digits = (whole + fraction.padEnd(decimals, "0")).replace(/^0+/, "");
  if (digits === "") throw notPositive();
  const minor = digits.length > MAX_AMOUNT_DIGITS ? null : BigInt(digits);
  if (minor === null || minor > MAX_AMOUNT_MINOR) {
    const most = formatDecimal(MAX_AMOUNT_MINOR, decimals);
    throw new MoneyError("amount_too_large", `amount must not be more than ${most}`);
  }
  return minor;
}

/** With all decimals: "12.50", "0.05"; at no decimals "12". A negative sum has its minus. */
export function formatDecimal(minor: bigint, decimals: number): string {
  if (decimals === 0) return minor.toString();
  const sign = minor < 0n ? "-" : "";
  const digits = (minor < 0n ? -minor : minor).toString().padStart(decimals + 1, "0");
  const point = digits.length - decimals;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

/** The source text of the exact JSON number, without trailing zeros: "12.5", "0.05", "12". */
export function formatNumber(minor: bigint, decimals: number): string {
  const text = formatDecimal(minor, decimals);
  return decimals === 0 ? text : text.replace(/\.?0+$/, "");
}

/** Whether a log can have this scale. */
export function isScale(decimals: number): boolean {
  return Number.isInteger(decimals) && decimals >= 0 && decimals <= MAX_DECIMALS;
}

function notPositive(): MoneyError {
  return new MoneyError("amount_not_positive", "amount must be more than 0");
}

function unreadable(text: string): MoneyError {
  if (/^\+[0-9.]/.test(text)) {
    return new MoneyError("amount_sign", "amount must be written without a sign");
  }
  return new MoneyError(
    "amount_not_a_number",
    "amount must be a decimal number like 12.50, without spaces or leading zeros",
  );
}
