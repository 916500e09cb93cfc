/** What the service offers is what is asked of the running program, here or in the documents. */

import { expect, test } from "bun:test";
import { OPERATIONS } from "../../src/service/document/operations.ts";
import { sourceFiles } from "../house/source-files.ts";

const TRIED = [
  ...["test/end-to-end/*.ts", "test/kafka/**/*.ts", "test/*.test.ts"],
  ...["README.md", "docs/http.md"], // their examples are run
];
const tried = sourceFiles(...TRIED).map(({ text }) => text).join("\n");

test("every route is asked on the running program", () => {
  const paths = OPERATIONS.map(({ path }) => path.replace(/\{\w+\}$/, ""));
  const untried = paths.filter((path) => !tried.includes(path));
  expect(untried).toEqual([]);
});
