/**
 * What a misspelt name of a setting was meant to be: named when it is near, else all are listed.
 *
 *   "PROT" ──edit distance──> "; did you mean PORT?"        "FOO" ──> "; known are ..."
 */

/** The end of a sentence on a name that is not known. */
export function nearest(key: string, known: readonly string[]): string {
  const [best] = known
    .map((name) => ({ name, distance: distanceTo(name.toUpperCase(), key.toUpperCase()) }))
    .filter(({ name, distance }) => distance <= maxMistakes(name))
    .sort((a, b) => a.distance - b.distance || a.name.length - b.name.length);
  return best === undefined ? `; known are ${known.join(", ")}` : `; did you mean ${best.name}?`;
}

/** What all names share tells nothing: leaving it out is no mistake of so many letters. */
const withoutPrefix = (name: string) => name.replace(/^DEPOSITAJA_/, "");

/** One letter in four may be wrong; more apart is another word. */
const maxMistakes = (name: string) => Math.ceil(withoutPrefix(name).length / 4);

function distanceTo(name: string, key: string): number {
  const whole = editDistance(key, name);
  return Math.min(whole, editDistance(withoutPrefix(key), withoutPrefix(name)));
}

/** Damerau's: letters left out, put in, replaced, or two neighbours the wrong way round. */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const replaced = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwapped ? at(i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY;
      row.push(Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, replaced, swapped));
    }
  }
  return at(a.length, b.length);
}
