/** An option's text as a whole number. Throws UsageError, which says what is wanted. */

import { UsageError } from "./usage-error.ts";

export function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  const wanted = `a whole number from ${least} to ${most}`;
  throw new UsageError(`${option} is "${text}": it must be ${wanted}`);
}
