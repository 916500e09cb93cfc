/**
 * A list of dead letters for people, in columns.
 *
 *   letters ──PAGE_LETTERS at a time──> tables, then what to type to see all of one
 *
 * They are not gathered as a whole: there may be more than memory takes.
 */

import type { Letter, NamedGroup } from "./dead-letter-names.ts";
import { LETTER_HEAD, letterRow } from "./dead-letter-text.ts";
import { print } from "./output.ts";
import { startedAs } from "./started-as.ts";
import { table } from "./table.ts";

/** In one table: more than anyone reads. */
const PAGE_LETTERS = 1_000;

export class LetterPages {
  private rows: (readonly string[])[] = [];
  private first: readonly string[] | null = null;

  constructor(private readonly decimals: number) {}

  add(group: NamedGroup, letter: Letter): void {
    const row = letterRow(group, letter, this.decimals);
    this.first ??= row;
    this.rows.push(row);
    if (this.rows.length === PAGE_LETTERS) this.flush();
  }

  /** `data` is what a command needs to find this data. */
  end(data: string): void {
    if (this.first === null) return print("there are no dead letters");
    if (this.rows.length > 0) this.flush();
    const [processor, record] = this.first;
    print(`\nall of one: ${startedAs()} dead-letters show ${processor} ${record}${data}`);
  }

  private flush(): void {
    print(table(LETTER_HEAD, this.rows).join("\n"));
    this.rows = [];
  }
}
