/**
 * Prometheus's text format, version 0.0.4, read strictly: whatever a scraper might stumble over is
 * an Error that names the line.
 *
 *   text ──line by line──> families by name, each with its samples
 */

export interface Sample {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

export interface Family {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const HELP = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ((?:[^\\]|\\\\|\\n)+)$/;
const TYPE = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$/;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\\\|\\n|\\")*)"/g;
const SAMPLE = new RegExp(
  `^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{((?:${LABEL.source},?)*)\\})? (\\S+)$`,
);
const VALUE = /^(?:[+-]Inf|NaN|[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)$/;

export function readExposition(text: string): ReadonlyMap<string, Family> {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families = new Map<string, Family & { samples: Sample[] }>();
  const seen = new Set<string>();
  let help: RegExpExecArray | null = null;
  let current: (Family & { samples: Sample[] }) | null = null;
  for (const line of text.split("\n")) {
    if (line === "") continue;
    if (line.startsWith("# HELP ")) {
      help = match(HELP, line);
    } else if (line.startsWith("#")) {
      const [, name = "", type = ""] = match(TYPE, line);
      if (help?.[1] !== name) throw new Error(`no help goes before: ${line}`);
      if (families.has(name)) throw new Error(`a second time: ${line}`);
      current = { name, type, help: help[2] as string, samples: [] };
      families.set(name, current);
    } else {
      const sample = sampleOf(line);
      if (current === null || !isOf(current, sample.name)) throw new Error(`of no family: ${line}`);
      const place = `${sample.name} ${[...sample.labels].sort().join(" ")}`;
      if (seen.has(place)) throw new Error(`told twice: ${line}`);
      seen.add(place);
      current.samples.push(sample);
    }
  }
  for (const family of families.values()) if (family.type === "histogram") checkHistogram(family);
  return families;
}

/** Of each family the sum of its samples that have these labels. */
export function total(
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const samples = [...families.values()].flatMap((family) => family.samples);
  return samples
    .filter((sample) => sample.name === name)
    .filter((sample) => Object.entries(labels).every(([key, is]) => sample.labels.get(key) === is))
    .reduce((sum, { value }) => sum + value, 0);
}

function match(pattern: RegExp, line: string): RegExpExecArray {
  const found = pattern.exec(line);
  if (found === null) throw new Error(`not of the format: ${line}`);
  return found;
}

function sampleOf(line: string): Sample {
  const [, name = "", inner = "", , , value = ""] = match(SAMPLE, line);
  if (!VALUE.test(value)) throw new Error(`no value: ${line}`);
  const labels = new Map<string, string>();
  for (const [, label = "", text = ""] of inner.matchAll(LABEL)) {
    if (labels.has(label) || label.startsWith("__")) throw new Error(`a bad label: ${line}`);
    labels.set(label, text);
  }
  return { name, labels, value: Number(value.replace("Inf", "Infinity")) };
}

function isOf({ name, type }: Family, sample: string): boolean {
  if (type !== "histogram") return sample === name;
  return ["_bucket", "_sum", "_count"].some((ending) => sample === name + ending);
}

/** Buckets grow up to +Inf, which is the count. */
function checkHistogram({ name, samples }: Family): void {
  const series = Map.groupBy(samples, ({ labels }) =>
    [...labels].filter(([label]) => label !== "le").sort().join(" "),
  );
  for (const [labels, own] of series) {
    const buckets = own.filter((sample) => sample.name === `${name}_bucket`);
    const bounds = buckets.map((sample) => sample.labels.get("le") ?? "");
    const ordered = bounds.map((le) => Number(le.replace("Inf", "Infinity")));
    const isGrowing = (values: readonly number[], strictly: boolean) =>
      values.every((value, i) => {
        const before = values[i - 1] ?? Number.NEGATIVE_INFINITY;
        return strictly ? value > before : value >= before;
      });
    const count = own.find((sample) => sample.name === `${name}_count`)?.value;
    const isWhole =
      isGrowing(ordered, true) &&
      bounds.at(-1) === "+Inf" &&
      isGrowing(buckets.map(({ value }) => value), false) &&
      buckets.at(-1)?.value === count &&
      own.some((sample) => sample.name === `${name}_sum`);
    if (!isWhole) throw new Error(`the histogram ${name}{${labels}} is not whole`);
  }
}
