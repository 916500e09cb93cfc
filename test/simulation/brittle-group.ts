/**
 * A group whose rule is broken: it does what it should, and then throws at some of the messages,
 * the same ones each time. A program with a mended rule goes on there.
 */

import type { Context, Group, Input } from "../../src/stream/group.ts";

/** Of this many records, by offset, one makes it throw. */
const FAILS_AT_EVERY = 5n;

export function brittle(group: Group): Group {
  return { ...group, inputs: group.inputs.map(brittleInput) };
}

function brittleInput(input: Input<unknown>): Input<unknown> {
  return {
    ...input,
    callback: (context: Context, message: unknown) => {
      input.callback(context, message);
      if (context.record.offset % FAILS_AT_EVERY === 3n) throw new Error("a broken rule");
    },
  };
}
