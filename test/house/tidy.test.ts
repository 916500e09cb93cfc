import { describe, expect, test } from "bun:test";
import { sourceFiles } from "./source-files.ts";
import { TIDY_RULES } from "./tidy-rules.ts";

const files = sourceFiles("{src,test,bench,proto,.ci}/**/*", "*");

describe("the tree", () => {
  test.each(TIDY_RULES)("$title", (rule) => {
    const ruled = files.filter(({ path }) => rule.appliesTo.test(path));
    expect(ruled.length).toBeGreaterThan(0);
    expect(ruled.flatMap((file) => rule.faults(file))).toEqual([]);
  });
});

describe("each rule tells a broken file from a good one", () => {
  test.each(TIDY_RULES)("$title", (rule) => {
    expect(rule.appliesTo.test(rule.broken.path)).toBe(true);
    expect(rule.faults(rule.broken)).toHaveLength(1);
    expect(rule.faults(rule.kept)).toEqual([]);
  });
});
