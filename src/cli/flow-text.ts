/**
 * The flow as text: a tree from the streams that nothing in the flow writes, or a Mermaid chart.
 *
 *   flow ──> lines
 */

import type { Flow, FlowGroup, FlowStream } from "../administration/flow.ts";

/** One line of the tree, with what is said about it. */
interface Line {
  readonly name: string;
  readonly about: string;
}

/** What was drawn once is named again where it is met again, and drawn no more. */
export function flowLines(flow: Flow): string[] {
  const drawn = new Set<string>();
  const roots = flow.streams.filter(({ writers }) => writers.length === 0);
  const lines = roots.flatMap((stream) => streamLines(flow, stream, drawn));
  const width = Math.max(...lines.map(({ name }) => name.length));
  return lines.map(({ name, about }) => `${name.padEnd(width)}  ${about}`);
}

function streamLines(flow: Flow, stream: FlowStream, drawn: Set<string>): Line[] {
  if (isAgain(`stream ${stream.topic}`, drawn)) return [{ name: stream.topic, about: ABOVE }];
  const groups = flow.groups.filter(({ name }) => stream.readers.includes(name));
  const children = groups.map((group) => groupLines(flow, group, drawn));
  return [{ name: stream.topic, about: streamAbout(flow, stream) }, ...branches(children)];
}

function groupLines(flow: Flow, group: FlowGroup, drawn: Set<string>): Line[] {
  const name = titleOf(group);
  if (isAgain(`group ${group.name}`, drawn)) return [{ name, about: ABOVE }];
  const streams = flow.streams.filter(({ topic }) => group.outputs.includes(topic));
  const children = streams.map((stream) => streamLines(flow, stream, drawn));
  const about = `keeps ${group.table} (${group.rows.join(", ")}), refuses to ${group.deadLetters}`;
  return [{ name, about }, ...branches(children)];
}

const ABOVE = "as above";

function isAgain(what: string, drawn: Set<string>): boolean {
  const isKnown = drawn.has(what);
  drawn.add(what);
  return isKnown;
}

function branches(children: readonly Line[][]): Line[] {
  return children.flatMap((lines, child) => {
    const isLast = child === children.length - 1;
    return lines.map(({ name, about }, line) => {
      const branch = isLast ? "└─> " : "├─> ";
      const trunk = isLast ? "    " : "│   ";
      return { name: `${line === 0 ? branch : trunk}${name}`, about };
    });
  });
}

function streamAbout({ groups }: Flow, { type, isEmitted, writers }: FlowStream): string {
  const titles = groups.filter(({ name }) => writers.includes(name)).map(titleOf);
  const by = [...(isEmitted ? ["service", "commands"] : []), ...titles];
  return by.length === 0 ? type : `${type}, written by ${by.join(", ")}`;
}

/** As lists print both names. */
function titleOf({ name, processor }: FlowGroup): string {
  return name === processor ? name : `${processor} (${name})`;
}

/** Ids are counted: a name may hold what Mermaid takes for a word of its own. */
export function mermaidLines({ streams, groups }: Flow): string[] {
  const ids = new Map(streams.map(({ topic }, i) => [topic, `stream${i + 1}`]));
  const isAnyEmitted = streams.some(({ isEmitted }) => isEmitted);
  return [
    "flowchart LR",
    ...(isAnyEmitted ? ['  outside(["service, commands"])'] : []),
    ...streams.map(({ topic }) => `  ${ids.get(topic)}[/"${topic}"/]`),
    ...groups.flatMap((group, i) => [
      `  group${i + 1}["${titleOf(group)}"]`,
      `  table${i + 1}[("${group.table}")]`,
    ]),
    ...streams.flatMap(({ topic, isEmitted }) =>
      isEmitted ? [`  outside --> ${ids.get(topic)}`] : [],
    ),
    ...groups.flatMap(({ inputs, outputs }, i) => [
      ...inputs.map((topic) => `  ${ids.get(topic)} --> group${i + 1}`),
      ...outputs.map((topic) => `  group${i + 1} --> ${ids.get(topic)}`),
      `  group${i + 1} --> table${i + 1}`,
    ]),
  ];
}
