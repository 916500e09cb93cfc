/** What the service offers is what is asked of the running program, here or in the documents. */

import { expect, test } from "bun:test";
import { OPERATIONS } from "../../src/service/document/operations.ts";
import { sourceFiles } from "../house/source-files.ts";
import { readmeBlocks } from "../readme/readme-blocks.ts";

/** Of a document what is typed alone: its text names every route. */
const asked = [
  ...sourceFiles("test/end-to-end/*.ts", "test/kafka/**/*.ts"),
  ...sourceFiles("README.md", "docs/http.md")
    .flatMap(({ text }) => readmeBlocks(text))
    .filter(({ kind }) => kind === "run"),
];

function isAsked(path: string): boolean {
  const pattern = path.replaceAll(/\{\w+\}/g, "[^/\\s`'\"]+");
  // Behind an address or a method, or a text of its own; nothing longer.
  const written = new RegExp(`[\\w}"'\`>) ]${pattern}(?![\\w/])`);
  return asked.some(({ text }) => written.test(text));
}

test("every route is asked on the running program", () => {
  const paths = OPERATIONS.map(({ path }) => path);
  expect(paths.filter((path) => !isAsked(path))).toEqual([]);
  expect(paths.map((path) => `/v2${path}`).filter(isAsked)).toEqual([]);
});
