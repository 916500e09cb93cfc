/**
 * The flow as data: which streams there are, which groups read and write them, and what each group
 * keeps. It is read off the declared topology, so that no drawing of it can be out of date.
 *
 *   topology, emitted streams ──> streams and groups by name
 */

import { EMITTED_STREAMS, PROCESSOR_NAMES } from "../app.ts";
import { deadLetterTopic, tableName } from "../stream/group.ts";
import { consumersOf, type Topology } from "../stream/topology.ts";

export interface Flow {
  readonly streams: readonly FlowStream[];
  /** In the order of the flow. */
  readonly groups: readonly FlowGroup[];
}

export interface FlowStream {
  readonly topic: string;
  /** The name of the messages' type. */
  readonly type: string;
  /** Written by the service or by commands, too. */
  readonly isEmitted: boolean;
  /** Names of groups. */
  readonly writers: readonly string[];
  readonly readers: readonly string[];
}

export interface FlowGroup {
  readonly name: string;
  /** What the processor that runs it is called. */
  readonly processor: string;
  /** Topics. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly table: string;
  /** Kinds of rows in the table. */
  readonly rows: readonly string[];
  readonly deadLetters: string;
}

export function flowOf(topology: Topology): Flow {
  const emitted = new Set<string>(Object.values(EMITTED_STREAMS).map(({ topic }) => topic));
  return {
    streams: topology.streams.map(({ topic, codec }) => ({
      topic,
      type: codec.name,
      isEmitted: emitted.has(topic),
      writers: topology.groups
        .filter(({ outputs }) => outputs.some((output) => output.topic === topic))
        .map(({ name }) => name),
      readers: consumersOf(topology, topic).map(({ name }) => name),
    })),
    groups: topology.groups.map((group) => ({
      name: group.name,
      processor: processorOf(group.name),
      inputs: group.inputs.map(({ stream }) => stream.topic),
      outputs: group.outputs.map(({ topic }) => topic),
      table: tableName(group),
      rows: group.rows.map(({ name }) => name),
      deadLetters: deadLetterTopic(group),
    })),
  };
}

/** A group that no processor is named for goes by its own name. */
function processorOf(group: string): string {
  return Object.entries(PROCESSOR_NAMES).find(([, name]) => name === group)?.[0] ?? group;
}
