/**
 * `dead-letters replay`: has a group take what it refused, and says what became of each.
 *
 *   letters ──settled up to now──> plan ──> written, marked ──settled──> taken, repeat, refused
 *              └── refused still, or counted already: nothing is written to the stream
 */

import type { App } from "../app.ts";
import type { Settler } from "./data.ts";
import type { Letter, NamedGroup } from "./dead-letter-names.ts";
import { detailText, plainText } from "./dead-letter-text.ts";
import { tellOfAction } from "./operator-log.ts";
import { note, print, printJson } from "./output.ts";
import { CommandError } from "./usage-error.ts";

type Desk = App["deadLetters"];
type FullLetter = Parameters<Desk["plan"]>[0];
type Plan = ReturnType<Desk["plan"]>;
type Replay = Extract<Plan, { kind: "append" }>;
type Refusal = Extract<Plan, { kind: "refused" }>;
type Place = Awaited<ReturnType<Desk["replay"]>>;
type Verdict = Awaited<ReturnType<Desk["verdicts"]>>[number];

export interface ReplayOperation {
  readonly app: App;
  readonly settler: Settler;
  readonly group: NamedGroup;
  readonly letters: readonly Letter[];
  readonly operator: { readonly actor: string; readonly reason: string };
  readonly newId: boolean;
  readonly isJson: boolean;
}

interface Outcome {
  readonly letter: Letter;
  readonly outcome: "taken" | "counted_before" | "not_replayed" | "refused_again";
  /** Where it stands now, or where it was counted; null when nowhere. */
  readonly as: string | null;
  readonly text: string;
}

/** Throws CommandError when not all were taken. */
export async function replayLetters(operation: ReplayOperation): Promise<void> {
  const { app, settler, group, letters, isJson } = operation;
  // What was written before must be known: a record that was sent again, an earlier replay.
  const homes = new Set(letters.filter(hasRecord).map((each) => app.deadLetters.home(each)));
  const ends = await Promise.all([...homes].map((partition) => app.ends(partition)));
  await settler.settle(ends.flat(), null);

  const written: { letter: Letter; replay: Replay; at: Place }[] = [];
  const outcomes: Outcome[] = [];
  for (const letter of letters) {
    const done = await write(operation, letter);
    if ("at" in done) written.push(done);
    else outcomes.push(done);
  }
  if (written.length > 0) {
    const places = written.map(({ at }) => at);
    const [first] = places.map(({ partition, offset }) => `the record ${partition}-${offset}`);
    const others = places.length > 1 ? ` (the first of ${places.length})` : "";
    await settler.settle(places, `${first}${others}`);
    const verdicts = await app.deadLetters.verdicts(group.name, written);
    verdicts.forEach((verdict, i) => {
      const { letter, at } = written[i] as (typeof written)[number];
      outcomes.push(outcomeOf(verdict, operation, { letter, as: formatPlace(at) }));
    });
  }
  tell(outcomes, group, isJson);
}

/** Where it was written, or why it was not. */
async function write(
  { app, operator, newId, group }: ReplayOperation,
  letter: Letter,
): Promise<{ letter: Letter; replay: Replay; at: Place } | Outcome> {
  const name = plainText(letter.name);
  if (!hasRecord(letter)) {
    const text = `${name} cannot be replayed: its record is gone, and there is no copy of it`;
    return { letter, outcome: "not_replayed", as: null, text };
  }
  const plan = app.deadLetters.plan(letter, { newId });
  if (plan.kind === "append") {
    const at = await app.deadLetters.replay(letter, plan, operator);
    const values = { letter: letter.name, group: group.name };
    tellOfAction("replayed the dead letter {letter} for {group}", values, operator.actor);
    return { letter, replay: plan, at };
  }
  if (plan.kind === "counted") {
    await app.deadLetters.mark(letter, operator, plan.position);
    const as = formatPlace(plan.position);
    const text = `${name} was counted by ${group.title} already, as ${as}: it is not sent again`;
    return { letter, outcome: "counted_before", as, text };
  }
  const why = detailText({ topic: letter.topic, detail: plan.why }, app.decimals);
  const text = `${name} is not replayed: ${why}${adviceFor(plan)}`;
  return { letter, outcome: "not_replayed", as: null, text };
}

function adviceFor({ problem }: Refusal): string {
  if (problem === "id_conflict") return "; with --new-id it is taken as a record of its own";
  if (problem === "id_is_free") return "; leave --new-id out";
  if (problem === "unwritable") return "";
  return `; it would be refused again (${problem}): mend what refuses it, or drop it`;
}

function outcomeOf(
  verdict: Verdict,
  { group, app }: Pick<ReplayOperation, "group" | "app">,
  { letter, as }: { readonly letter: Letter; readonly as: string },
): Outcome {
  const start = `${plainText(letter.name)} is replayed as ${as}`;
  if (verdict.kind === "taken") {
    return { letter, outcome: "taken", as, text: `${start}: ${group.title} has taken it` };
  }
  if (verdict.kind === "repeat") {
    const first = formatPlace(verdict.position);
    const text = `${start}, and passed by: its id was counted as ${first}`;
    return { letter, outcome: "counted_before", as: first, text };
  }
  const { reason, name } = verdict.letter;
  const why = `${plainText(reason)}, ${detailText(verdict.letter, app.decimals)}`;
  const text = `${start}, and refused again: ${why}; it is the letter ${plainText(name)} now`;
  return { letter, outcome: "refused_again", as, text };
}

/** Throws CommandError when not all were taken. */
function tell(outcomes: readonly Outcome[], group: NamedGroup, isJson: boolean): void {
  const failed: Outcome[] = [];
  for (const each of outcomes) {
    const { letter, outcome, as, text } = each;
    const isFailed = outcome === "not_replayed" || outcome === "refused_again";
    if (isFailed) failed.push(each);
    if (isJson) {
      const { processor, name } = group;
      printJson({ processor, group: name, record: letter.name, outcome, as, detail: text });
    } else if (!isFailed) print(text);
  }
  const [first] = failed;
  if (first === undefined) return;
  if (outcomes.length === 1) throw new CommandError(first.text);
  for (const { text } of failed) note(text);
  throw new CommandError(`${failed.length} of ${outcomes.length} letters were not taken`);
}

function hasRecord(letter: Letter): letter is FullLetter {
  return letter.record !== null;
}

function formatPlace({ partition, offset }: Pick<Place, "partition" | "offset">): string {
  return `${partition}-${offset}`;
}
