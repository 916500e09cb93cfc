/**
 * The settings file: `KEY=VALUE` a line, `#` comments, values bare or quoted.
 *
 *   config.env ──parseConfig──> entries, or what is wrong with which line
 *
 * After the `.env` files that people know, less what nobody can predict: no expansion, no escapes,
 * no values over several lines, no key twice.
 */

import { UsageError } from "./usage-error.ts";

/** What such a line holds is not shown, even where it cannot be understood. */
const SECRET = /passw|secret|keys/i;
const LINE = /^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)$/;

/** Throws UsageError that names file and line. */
export function parseConfig(text: string, path: string): Map<string, string> {
  const entries = new Map<string, string>();
  text
    .replace(/^\ufeff/, "")
    .split(/\r?\n/)
    .forEach((raw, index) => {
      const line = raw.trim();
      if (line === "" || line.startsWith("#")) return;
      const place = `${path} line ${index + 1}`;
      const match = LINE.exec(line);
      if (match === null) {
        const shown = SECRET.test(line) ? "what stands there" : `"${line}"`;
        throw new UsageError(`${place}: write KEY=VALUE, not ${shown}`);
      }
      const [, key = "", value = ""] = match;
      if (entries.has(key)) throw new UsageError(`${place}: ${key} is set a second time`);
      entries.set(key, unquote(value, `${place}: the quotes around the value of ${key}`));
    });
  return entries;
}

function unquote(value: string, quotes: string): string {
  const quote = value[0];
  if (quote !== '"' && quote !== "'") return value.replace(/\s+#.*$/, "");
  const end = value.indexOf(quote, 1);
  const rest = value.slice(end + 1).trim();
  if (end < 0 || (rest !== "" && !rest.startsWith("#"))) {
    throw new UsageError(`${quotes} do not match`);
  }
  return value.slice(1, end);
}
