/**
 * Which dead letters a command line means.
 *
 *   processor by either name ──> group        `3-17`, `deposit:3-17` ──> its letter
 */

import type { App } from "../app.ts";
import { CommandError, UsageError } from "./usage-error.ts";

export type Letter = NonNullable<Awaited<ReturnType<App["deadLetters"]["find"]>>[number]>;

export interface NamedGroup {
  /** The group's name. */
  readonly name: string;
  readonly processor: string;
  /** "collector (balance)". */
  readonly title: string;
}

/** All when none is named. Throws UsageError. */
export async function namedGroups(names: readonly string[]): Promise<NamedGroup[]> {
  const { allProcessors, listOf, processorsNamed } = await import("./processor-names.ts");
  const { PROCESSOR_NAMES } = await import("../app.ts");
  const processors = names.length === 0 ? allProcessors : processorsNamed(names);
  return processors.map((processor) => ({
    name: PROCESSOR_NAMES[processor],
    processor,
    title: listOf([processor]),
  }));
}

/** Throws UsageError. */
export async function namedGroup(name: string): Promise<NamedGroup> {
  const [group] = await namedGroups([name]);
  return group as NamedGroup; // another name has thrown
}

/** Throws UsageError: one of the two was left out of what was typed. */
export function requireRecords(command: string, processor: string, records: readonly string[]) {
  if (records.length > 0) return;
  const isRecord = /\d-\d/.test(processor);
  const whole = isRecord ? `<processor> ${processor}` : `${processor} <record>`;
  const missing = isRecord
    ? "name the processor that refused it, too, before the record"
    : "name the record that was refused, too";
  throw new UsageError(
    `${missing}: \`dead-letters ${command} ${whole}\`, as \`dead-letters list\` prints them`,
  );
}

/** Each once. Throws UsageError for what is no name, CommandError where nothing was refused. */
export async function namedLetters(
  app: App,
  group: NamedGroup,
  names: readonly string[],
): Promise<Letter[]> {
  const places = names.map((name) => {
    const place = app.deadLetters.place(group.name, name);
    if (place !== null) return place;
    throw new UsageError(
      `"${name}" names no record: give partition and offset, such as 3-17 or deposit:3-17, ` +
        "as `dead-letters list` prints them",
    );
  });
  const found = await app.deadLetters.find(group.name, places);
  const letters = found.map((letter, i) => {
    if (letter !== null) return letter;
    throw new CommandError(
      `${group.title} has no dead letter of ${names[i]}: look with \`dead-letters list\``,
    );
  });
  return letters.filter(({ name }, i) => letters.findIndex((each) => each.name === name) === i);
}
