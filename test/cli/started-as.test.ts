import { describe, expect, test } from "bun:test";
import { quote, type Start, startedAs } from "../../src/cli/started-as.ts";
import { VERSION } from "../../src/cli/version.ts";
import manifest from "../../package.json" with { type: "json" };

const START: Start = {
  typed: "bun",
  isCompiled: false,
  script: "/clone/src/main.ts",
  folder: "/clone",
  bunVersion: "1.4.5",
  environment: {},
};

describe("the next command has the form of this one", () => {
  test("started by npx", () => {
    const environment = {
      npm_lifecycle_event: "up",
      npm_config_user_agent: "npm/11.19.1 node/v20.20.2 linux x64 workspaces/false",
    };
    expect(startedAs({ ...START, environment })).toBe("npx -y bun@1.4.5 run depositaja");
  });

  test("started by bun run", () => {
    const environment = {
      npm_lifecycle_event: "depositaja",
      npm_config_user_agent: "bun/1.4.5 npm/? node/v26.3.0 linux x64",
    };
    expect(startedAs({ ...START, environment })).toBe("bun run depositaja");
  });

  test("the executable as it was typed", () => {
    const compiled = { ...START, isCompiled: true, script: "/$bunfs/root/depositaja" };
    expect(startedAs({ ...compiled, typed: "dist/depositaja" })).toBe("dist/depositaja");
    expect(startedAs({ ...compiled, typed: "./my programs/d" })).toBe("'./my programs/d'");
  });

  test("the source without a script", () => {
    expect(startedAs(START)).toBe("bun src/main.ts");
    expect(startedAs({ ...START, folder: "/elsewhere" })).toBe("bun /clone/src/main.ts");
  });
});

test("an argument is quoted where a shell would take it apart", () => {
  expect(quote("./data")).toBe("./data");
  expect(quote("a b")).toBe("'a b'");
  expect(quote("it's")).toBe(`'it'\\''s'`);
});

test("the version is the package's", () => {
  expect(VERSION).toBe(manifest.version);
});
