/** Times as people read them: in their own zone, and in UTC. */

/** "2026-01-31T12:00:00.250Z"; a time that no calendar has, as Unix milliseconds. */
export function utcText(timeMs: number): string {
  const date = new Date(timeMs);
  return Number.isNaN(date.getTime()) ? `${timeMs} ms` : date.toISOString();
}

/** "2026-01-31 13:00:00.250 +01:00", in the process's zone. */
export function localText(timeMs: number): string {
  const date = new Date(timeMs);
  if (Number.isNaN(date.getTime())) return `${timeMs} ms`;
  const aheadMinutes = -date.getTimezoneOffset();
  const shifted = new Date(timeMs + aheadMinutes * 60_000).toISOString();
  const hours = Math.floor(Math.abs(aheadMinutes) / 60);
  const minutes = Math.abs(aheadMinutes) % 60;
  const sign = aheadMinutes < 0 ? "-" : "+";
  const offset = `${sign}${String(hours).padStart(2, "0")}:${String(minutes).padStart(2, "0")}`;
  return `${shifted.slice(0, 10)} ${shifted.slice(11, 23)} ${offset}`;
}
