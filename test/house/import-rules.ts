/**
 * Who may import whom: the project's layers as data, and the faults of a set of files.
 *
 *   files ──scan──> imports ──resolve──> file or package ──layer's row──> faults
 *
 * Type imports count like any other: a layer that knows another's types knows the layer.
 */

import { dirname, join } from "node:path";
import type { SourceFile } from "./source-files.ts";

export interface LayerRule {
  /** Folders, files or packages. `@other-stream`: a file of another domain with its stream. */
  readonly mayImport: readonly string[];
  readonly mayUseBuiltIns: boolean;
}

const PROTOBUF = "@bufbuild/protobuf";
const LOGTAPE = ["@logtape/logtape"];
const DOMAIN: readonly string[] = ["@stream", "@gen", "@money", PROTOBUF, "@other-stream"];

/** Every layer may import its own files. `@name` is a layer. */
export const LAYERS: Readonly<Record<string, LayerRule>> = {
  "event-log": { mayImport: [], mayUseBuiltIns: false },
  money: { mayImport: [], mayUseBuiltIns: false },
  gen: { mayImport: [PROTOBUF], mayUseBuiltIns: false },
  /** What both adapters share, beside the port itself. */
  port: { mayImport: ["@event-log"], mayUseBuiltIns: true },
  "embedded-log": { mayImport: ["@event-log", "@port", ...LOGTAPE], mayUseBuiltIns: true },
  "kafka-log": { mayImport: ["@event-log", "@port", "kafkajs", ...LOGTAPE], mayUseBuiltIns: true },
  stream: { mayImport: ["@event-log", "@port", PROTOBUF, ...LOGTAPE], mayUseBuiltIns: true },
  /** A domain holds rules; a rule reads no file, clock or socket. */
  domain: { mayImport: DOMAIN, mayUseBuiltIns: false },
  /** The one domain that also reads files: history comes in through it. */
  deposits: { mayImport: [...DOMAIN, "csv-parse"], mayUseBuiltIns: true },
  /** Who may call the service: commands write what the service reads. */
  access: { mayImport: [], mayUseBuiltIns: true },
  /** The port for its errors' codes, which problem.ts turns into statuses. */
  service: {
    mayImport: ["@domain", "@deposits", "@stream", "@event-log", "@money"].concat(
      ["@access", "hono", "@hono", "zod", "prom-client"],
      LOGTAPE,
    ),
    mayUseBuiltIns: true,
  },
  proof: {
    mayImport: ["@event-log", "@port", "@stream", "@gen", "@money", PROTOBUF, "hdr-histogram-js"],
    mayUseBuiltIns: true,
  },
  /** What commands need of several domains at once. */
  wallets: { mayImport: ["@domain", "@deposits", "@stream", "@gen"], mayUseBuiltIns: false },
  /** What looks after a log as a whole: its topics, and moving it to another place. */
  administration: {
    mayImport: ["@app", "@event-log", "@port", "@embedded-log", "@kafka-log", "@stream"].concat(
      ["@domain", "@deposits"],
      LOGTAPE,
    ),
    mayUseBuiltIns: true,
  },
  cli: {
    mayImport: ["@app", "@administration", "@access", "@money", "@proof"].concat(
      ["commander", "cli-progress", "@logtape/pretty"],
      LOGTAPE,
    ),
    mayUseBuiltIns: true,
  },
  /** Opens the logs, so that nothing above knows which one it has. */
  place: {
    mayImport: ["@event-log", "@port", "@embedded-log", "@kafka-log", "@stream"],
    mayUseBuiltIns: true,
  },
  /** Everything but what stands on it. */
  app: {
    mayImport: ["@event-log", "@port", "@place", "@stream", "@gen"].concat(
      ["@money", "@domain", "@deposits", "@wallets", "@service", "@proof", "@access"],
      ["@logtape/pretty", PROTOBUF],
      LOGTAPE,
    ),
    mayUseBuiltIns: true,
  },
  main: { mayImport: ["@cli", "@app"], mayUseBuiltIns: true },
};

/** The layer of a file below src; null when the layout has no place for it. */
export function layerOf(path: string): string | null {
  const [, first = "", second] = path.split("/");
  if (path === "src/log/event-log.ts") return "event-log";
  if (first === "log") {
    if (second === "embedded" || second === "kafka") return `${second}-log`;
    return path.split("/").length === 3 ? "port" : null;
  }
  if (second === undefined) {
    const name = first.replace(/\.ts$/, "");
    return ["main", "app", "place", "wallets", "money"].includes(name) ? name : null;
  }
  return first in LAYERS ? first : "domain";
}

/** Every import of a file as written, types included. */
export function importsOf(text: string): string[] {
  // The transpiler leaves types out: make them values first.
  const asValues = text
    .replace(/^(\s*import)\s+type\s+(?=[\w{*])/gm, "$1 ")
    .replace(/^(\s*export)\s+type\s+(?=[{*])/gm, "$1 ")
    .replace(/^\s*(?:import|export)\b[^;"']*?\{[^}]*\}\s*from\b/gm, (statement) =>
      statement.replace(/([{,]\s*)type\s+(?=\w)/g, "$1"),
    );
  const scanned = new Bun.Transpiler({ loader: "ts" }).scanImports(asValues);
  return [...new Set(scanned.map(({ path }) => path))];
}

/** What is wrong with the imports of these files, one sentence each. */
export function importFaults(files: readonly SourceFile[]): string[] {
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  return files.flatMap(({ path, text }) => {
    const layer = layerOf(path);
    const rule = layer === null ? undefined : LAYERS[layer];
    if (layer === null || rule === undefined) return [`${path}: the layout has no place for it`];
    return importsOf(text).flatMap((imported) => {
      const fault = imported.startsWith(".")
        ? relativeFault(path, layer, rule, join(dirname(path), imported), texts)
        : packageFault(rule, imported);
      return fault === null ? [] : [`${path}: ${layer} must not import ${imported}: ${fault}`];
    });
  });
}

/** Each cycle among these files once, as "a -> b -> a". */
export function importCycles(files: readonly SourceFile[]): string[] {
  const edges = new Map(
    files.map(({ path, text }) => [
      path,
      importsOf(text)
        .filter((imported) => imported.startsWith("."))
        .map((imported) => join(dirname(path), imported)),
    ]),
  );
  const cycles: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) cycles.push([...trail.slice(start), path].join(" -> "));
    if (start >= 0 || done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return cycles;
}

function relativeFault(
  path: string,
  layer: string,
  rule: LayerRule,
  target: string,
  texts: ReadonlyMap<string, string>,
): string | null {
  const text = texts.get(target);
  // A file that goes into the executable as it is, beside the one module that gives it out.
  if (target.endsWith(".gz") && dirname(target) === dirname(path)) return null;
  if (text === undefined) return "no such file below src; write the path with its .ts";
  const targetLayer = layerOf(target);
  if (targetLayer === "domain" || targetLayer === "deposits") {
    if (dirname(target) === dirname(path)) return null;
    if (rule.mayImport.includes("@other-stream")) {
      return declaresStream(text) ? null : "of another domain only the file with its stream";
    }
  } else if (targetLayer === layer) return null;
  if (rule.mayImport.includes(`@${targetLayer}`)) return null;
  return `${targetLayer} is not among ${rule.mayImport.join(", ") || "nothing"}`;
}

function packageFault(rule: LayerRule, imported: string): string | null {
  if (/^(node:|bun$|bun:)/.test(imported)) {
    return rule.mayUseBuiltIns ? null : "built-ins are closed to it";
  }
  const isAllowed = rule.mayImport.some(
    (name) => imported === name || imported.startsWith(`${name}/`),
  );
  return isAllowed ? null : `not among ${rule.mayImport.join(", ") || "nothing"}`;
}

function declaresStream(text: string): boolean {
  return /^export const \w+: Stream</m.test(text);
}
