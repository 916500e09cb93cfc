/**
 * `topology`: the flow that this program runs, as text, as a Mermaid chart or as JSON.
 *
 *   declared topology ──> flow ──> stdout
 */

import { Option } from "commander";
import type { Flow } from "../administration/flow.ts";
import { newPlainCommand } from "./command.ts";
import { flowLines, mermaidLines } from "./flow-text.ts";
import { print, printJson } from "./output.ts";

const OPTIONS = {
  name: "topology",
  description: "Show the flow: streams, the groups that read and write them, their tables.",
  examples: ["topology", "topology --format mermaid > flow.mmd", "topology --format json"],
  remarks: "It is what this program declares, and opens no log.",
} as const;

const FORMATS = ["text", "mermaid", "json"] as const;

export function topologyCommand() {
  return newPlainCommand(OPTIONS)
    .addOption(new Option("--format <format>", "how to show it").choices(FORMATS).default("text"))
    .option("--json", "the same as --format json")
    .action(async (flags: { readonly format: (typeof FORMATS)[number]; readonly json?: true }) => {
      const { flowOf } = await import("../administration/flow.ts");
      const { DEFAULT_DECIMALS, topologyOf } = await import("../app.ts");
      const flow = flowOf(topologyOf(DEFAULT_DECIMALS)); // the same with any number of decimals
      if (flags.json === true || flags.format === "json") return printJson(flowJson(flow));
      print((flags.format === "mermaid" ? mermaidLines(flow) : flowLines(flow)).join("\n"));
    });
}

function flowJson({ streams, groups }: Flow): object {
  return {
    streams: streams.map(({ topic, type, isEmitted, writers, readers }) => ({
      topic,
      type,
      written_from_outside: isEmitted,
      written_by: writers,
      read_by: readers,
    })),
    groups: groups.map(({ name, processor, inputs, outputs, table, rows, deadLetters }) => ({
      ...{ group: name, processor, inputs, outputs, table, rows },
      dead_letters: deadLetters,
    })),
  };
}
