/** What counts as tried of what the program offers. */

import { expect, test } from "bun:test";
import { offersOf, untried } from "./every-option.ts";

const HELPS: Readonly<Record<string, string>> = {
  "": "Options:\n  -V, --version  its version\n\nCommands:\n  rules  a\n  load  b\n",
  rules: "Options:\n  --json  JSON\n  --data <folder>  where\n\nCommands:\n  set  c\n  help  d\n",
  "rules set": "Options:\n  --json  JSON\n  --limit <amount>  more than this\n",
  load: "Options:\n  --data <folder>  where\n  --rate <count>  how fast\n  -h, --help  this\n",
};
const helpOf = async (command: readonly string[]) => HELPS[command.join(" ")] as string;
const VARIABLES = ["DEPOSITAJA_DATA", "DEPOSITAJA_PORT"];

test("every command and option of every help is wanted", async () => {
  const offers = await offersOf(helpOf);
  expect(untried(offers, VARIABLES, [])).toEqual([
    ...["", "--version", "rules", "rules --json", "--data", "rules set", "rules set --json"],
    ...["rules set --limit", "load", "load --rate", "DEPOSITAJA_DATA", "DEPOSITAJA_PORT"],
  ]);
});

test("an option is tried by the command it was typed with, a shared one by any", async () => {
  const offers = await offersOf(helpOf);
  const starts = [
    { args: ["rules", "set", "--limit=5", "--json", "--data", "x"], variables: [] },
    { args: ["load", "--rate", "--limit"], variables: ["DEPOSITAJA_PORT"] },
    { args: ["--version"], variables: [] },
    { args: ["a script --json"], variables: ["HOME"] },
  ];
  expect(untried(offers, VARIABLES, starts)).toEqual(["rules", "rules --json", "DEPOSITAJA_DATA"]);
});
