/**
 * Event time as people and files write it: RFC 3339, or Unix milliseconds.
 *
 *   "2026-01-31T12:00:00.250Z", "2026-01-31T13:00:00.25+01:00", "1769860800250" ──> milliseconds
 *
 * Deliberate differences from RFC 3339: no space in place of the T, no leap second (Unix time has
 * none), and what is finer than a millisecond is cut off, so that the order of times stays.
 *
 * A bare number of nine or ten digits is no time: it comes from a system that counts in seconds. As
 * milliseconds it would lie in the first months of 1970, and deposits a thousand times closer
 * together than they were, so that wallets would be flagged.
 */

/** What to say of a text that `parseEventTime` can't read, behind the name of the field. */
export const EVENT_TIME_FORM =
  "must be a time like 2026-01-31T12:00:00Z (RFC 3339, with Z or an offset) or Unix " +
  "milliseconds (today 13 digits; 9 or 10 would be seconds)";

/** Unix milliseconds; null for a text in neither form, or a date that no calendar has. */
export function parseEventTime(text: string): number | null {
  if (UNIX_MS.test(text)) return Number(text);
  const parts = RFC_3339.exec(text);
  if (parts === null) return null;
  const year = Number(parts[1]);
  const month = Number(parts[2]);
  const day = Number(parts[3]);
  const [hour, minute, second] = [Number(parts[4]), Number(parts[5]), Number(parts[6])];
  if (year < 100 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return null;
  if (hour > 23 || minute > 59 || second > 59) return null;
  const fraction = parts[7];
  const ms = fraction === undefined ? 0 : Number(fraction.slice(0, 3).padEnd(3, "0"));
  const offsetMs = offsetOf(parts[8] as string);
  if (offsetMs === null) return null;
  return Date.UTC(year, month - 1, day, hour, minute, second, ms) - offsetMs;
}

/** Sixteen digits hold every time that can be a safe integer; the door's rules bound the rest. */
const UNIX_MS = /^(?:0|[1-9][0-9]{0,7}|[1-9][0-9]{10,15})$/;
const RFC_3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?([Zz]|[+-]\d\d:\d\d)$/;

function offsetOf(text: string): number | null {
  if (text.length === 1) return 0;
  const hours = Number(text.slice(1, 3));
  const minutes = Number(text.slice(4));
  if (hours > 23 || minutes > 59) return null;
  const offsetMs = (hours * 60 + minutes) * 60_000;
  return text.startsWith("-") ? -offsetMs : offsetMs;
}

function daysIn(year: number, month: number): number {
  if (month !== 2) return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return isLeap ? 29 : 28;
}
