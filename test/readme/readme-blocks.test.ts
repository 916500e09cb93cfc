import { describe, expect, test } from "bun:test";
import { readmeBlocks, servicePort, showsOutput } from "./readme-blocks.ts";

const FENCE = "```";

function block(mark: string, text = "true"): string {
  return `${FENCE}${mark}\n${text}\n${FENCE}\n`;
}

describe("README blocks", () => {
  test("are told apart by their marks, in order, with lines", () => {
    const markdown = [
      block("sh"),
      block("sh service", "bun run up"),
      block('sh no-run="needs a network"'),
      block("ts file=word-count.ts"),
      block("json output", "{}"),
      block("text"),
    ].join("\n");
    expect(readmeBlocks(markdown).map(({ kind, line, file }) => [kind, line, file])).toEqual([
      ["run", 1, null],
      ["service", 5, null],
      ["no-run", 9, null],
      ["program", 13, "word-count.ts"],
      ["output", 17, null],
    ]);
  });

  test("say what a service prints once it stands, and what needs a broker, output included", () => {
    const markdown = [
      block('sh service="Ctrl-C" kafka'),
      block('sh service="it stands"'),
      block("sh service kafka"),
      block("sh kafka"),
      block("text output"),
      block("sh"),
      block("text output"),
    ].join("\n");
    const marks = readmeBlocks(markdown).map(({ kind, readyText, needsBroker }) => [
      kind,
      readyText,
      needsBroker,
    ]);
    expect(marks).toEqual([
      ["service", "Ctrl-C", true],
      ["service", "it stands", false],
      ["service", null, true],
      ["run", null, true],
      ["output", null, true],
      ["run", null, false],
      ["output", null, false],
    ]);
  });

  test("say why they are not run", () => {
    const [never, plain] = readmeBlocks(`${block('sh no-run="needs root"')}${block("sh")}`);
    expect([never?.reason, plain?.reason]).toEqual(["needs root", null]);
  });

  const unknown = ["sh no-run", "sh later", "sh servicekafka", "bash", "console", "ts"];
  test.each([...unknown, "ts file=../a.ts", "json shown"])("refuse the mark %s", (mark) =>
    expect(() => readmeBlocks(block(mark))).toThrow("line 1"),
  );

  test("refuse a block that is never closed", () => {
    expect(() => readmeBlocks(`${FENCE}sh\ntrue`)).toThrow("never closed");
  });

  test("ask for a port, or for the default one", () => {
    expect(servicePort("bun run up --port 9000")).toBe(9000);
    expect(servicePort("bun run up")).toBe(8080);
  });
});

describe("shown output", () => {
  test("stands for itself, and … for anything", () => {
    expect(showsOutput("balance 10\n", "balance 10")).toBe(true);
    expect(showsOutput("balance 10", "balance 100")).toBe(false);
    expect(showsOutput("at … (+1)\n…\nend", "at 12:00 (+1)\na\nb\nend")).toBe(true);
    expect(showsOutput("a.c", "abc")).toBe(false);
  });
});
