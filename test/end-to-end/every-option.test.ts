/** What the program offers is what is tried on the running program, here or in the documents. */

import { expect, test } from "bun:test";
import { OPERATIONS } from "../../src/service/document/operations.ts";
import { sourceFiles } from "../house/source-files.ts";
import { run, temporaryFolder } from "./program.ts";

const TRIED = [
  ...["test/end-to-end/*.ts", "test/kafka/**/*.ts", "test/*.test.ts"],
  ...["README.md", "docs/http.md"], // their examples are run
];
const tried = sourceFiles(...TRIED).map(({ text }) => text).join("\n");

/** Names in the list of commands that a help has, if it has one. */
function commandsIn(help: string): string[] {
  const list = /^Commands:\n((?: .*\n)+)/m.exec(help)?.[1] ?? "";
  const names = [...list.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name as string);
  return names.filter((name) => name !== "help");
}

function optionsIn(help: string): string[] {
  return [...help.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, option]) => option as string);
}

test("every option of every command is tried on the running program", async () => {
  using folder = temporaryFolder();
  const helpOf = async (...command: string[]) => {
    const { code, out } = await run({ folder: folder.path }, ...command, "--help");
    expect([command, code]).toEqual([command, 0]);
    return out;
  };
  const names = commandsIn(await helpOf());
  expect(names.length).toBeGreaterThan(20);
  const untried: string[] = [];
  const look = async (...command: string[]) => {
    const help = await helpOf(...command);
    const options = optionsIn(help).filter((option) => !tried.includes(option));
    untried.push(...options.map((option) => [...command, option].join(" ")));
    await Promise.all(commandsIn(help).map((name) => look(...command, name)));
  };
  await Promise.all(names.map((name) => look(name)));
  expect(untried).toEqual([]);
});

test("every route is asked on the running program", () => {
  const paths = OPERATIONS.map(({ path }) => path.replace(/\{\w+\}$/, ""));
  const untried = paths.filter((path) => !tried.includes(path));
  expect(untried).toEqual([]);
});
