/** Comparing and showing bytes. */

/** Null is a row that is not there. */
export function sameBytes(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) return a === b;
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

export function shownBytes(bytes: Uint8Array | null): string {
  return bytes === null ? "nothing" : Buffer.from(bytes).toString("hex");
}

/** A stored row key as text: what can be read of it. */
export function shownKey(key: string): string {
  return JSON.stringify(key.replace(/[^\x20-\x7e]/g, "."));
}
