/**
 * Where a verification puts what it has read of one partition, to have it back by wallet: memory
 * stays the same however much there is.
 *
 *   records in log order ──insert──> scratch ──sorted as a table's rows are──> one wallet at a time
 *
 * It is SQLite's own temporary database: a file without a name, in SQLITE_TMPDIR or /var/tmp, that
 * is gone with the process, however that ends.
 */

import { Database, type Statement } from "bun:sqlite";

/** Pages kept in memory; beyond it the file is used. */
const CACHE_KIB = 16_384;

const SCHEMA = `
CREATE TABLE scratch.arrivals (
  topic INTEGER, key BLOB, offset INTEGER, amount, at_ms INTEGER, id TEXT, value BLOB,
  takers INTEGER, letters TEXT);
CREATE TABLE scratch.letters (
  group_name TEXT, topic TEXT, offset INTEGER, reason TEXT, checksum INTEGER, letter INTEGER,
  PRIMARY KEY (group_name, topic, offset)) WITHOUT ROWID;
CREATE TABLE scratch.marks (
  group_name TEXT, topic TEXT, offset INTEGER,
  PRIMARY KEY (group_name, topic, offset)) WITHOUT ROWID;
`;

/** A record that some group takes, by its own topic. */
export interface Arrival {
  readonly key: Uint8Array;
  readonly offset: number;
  readonly id: string | null;
  /** Minor units; as text where a number would lose some. Null in `flag_wallet`. */
  readonly amount: number | string | null;
  readonly at_ms: number | null;
  /** The message, in `flag_wallet`. */
  readonly value: Uint8Array | null;
  /** One bit for each group that the record is for. */
  readonly takers: number;
  /** Reasons of its dead letters, by group, as JSON; null when it has none. */
  readonly letters: string | null;
}

export type ArrivalTopic = "deposit" | "flag_wallet";

export interface FoundLetter {
  readonly reason: string;
  /** Of the copy, by which it is the same record. */
  readonly checksum: number;
  /** Its own offset. */
  readonly letter: number;
  /** An operator has replayed or dropped it. */
  readonly isHandled: boolean;
}

export interface LetterPlace {
  readonly group: string;
  readonly topic: string;
  readonly offset: number;
}

const TOPICS: readonly ArrivalTopic[] = ["deposit", "flag_wallet"];

export class Scratch {
  private readonly database = new Database(":memory:");
  private readonly statements: Record<
    "arrive" | "letter" | "mark" | "isMarked" | "take",
    Statement
  >;

  constructor() {
    const { database } = this;
    attachScratch(database);
    database.exec(SCHEMA);
    const prepare = (sql: string) => database.prepare(sql);
    this.statements = {
      arrive: prepare("INSERT INTO scratch.arrivals VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"),
      letter: prepare("INSERT OR IGNORE INTO scratch.letters VALUES (?, ?, ?, ?, ?, ?)"),
      mark: prepare("INSERT OR IGNORE INTO scratch.marks VALUES (?, ?, ?)"),
      isMarked: prepare(
        "SELECT 1 FROM scratch.marks WHERE group_name = ? AND topic = ? AND offset = ?",
      ),
      take: prepare(
        "DELETE FROM scratch.letters WHERE group_name = ? AND topic = ? AND offset = ? " +
          "RETURNING reason, checksum, letter",
      ),
    };
  }

  /** Runs many inserts as one transaction, which is what makes them quick. */
  filling<T>(fill: () => T): T {
    return this.database.transaction(fill)();
  }

  arrive(topic: ArrivalTopic, arrival: Arrival): void {
    const { key, offset, amount, at_ms, id, value, takers, letters } = arrival;
    const place = TOPICS.indexOf(topic);
    this.statements.arrive.run(place, key, offset, amount, at_ms, id, value, takers, letters);
  }

  /** In the order of a table's stored keys, then of offsets. */
  arrivals(topic: ArrivalTopic): IterableIterator<Arrival> {
    const sorted = this.database.prepare(
      "SELECT key, offset, amount, at_ms, id, value, takers, letters FROM scratch.arrivals " +
        "WHERE topic = ? ORDER BY length(key), key, offset",
    );
    return sorted.iterate(TOPICS.indexOf(topic)) as IterableIterator<Arrival>;
  }

  /** False where there is one of the record already. */
  putLetter(
    { group, topic, offset }: LetterPlace,
    letter: Omit<FoundLetter, "isHandled">,
  ): boolean {
    const { reason, checksum, letter: at } = letter;
    const { changes } = this.statements.letter.run(group, topic, offset, reason, checksum, at);
    return changes === 1;
  }

  putMark({ group, topic, offset }: LetterPlace): void {
    this.statements.mark.run(group, topic, offset);
  }

  /** The letter of a record, once; null when there is none. */
  takeLetter({ group, topic, offset }: LetterPlace): FoundLetter | null {
    const row = this.statements.take.get(group, topic, offset) as FoundLetter | null;
    if (row === null) return null;
    return { ...row, isHandled: this.statements.isMarked.get(group, topic, offset) !== null };
  }

  /** Letters that nobody has taken. */
  leftLetters(): IterableIterator<LetterPlace & Pick<FoundLetter, "reason" | "letter">> {
    const left = this.database.prepare(
      'SELECT group_name AS "group", topic, offset, reason, letter FROM scratch.letters ' +
        "ORDER BY group_name, letter",
    );
    return left.iterate() as IterableIterator<
      LetterPlace & Pick<FoundLetter, "reason" | "letter">
    >;
  }

  hasLetters(group: string): boolean {
    const any = this.database.query("SELECT 1 FROM scratch.letters WHERE group_name = ? LIMIT 1");
    return any.get(group) !== null;
  }

  /** For the next partition. */
  clear(): void {
    this.database.exec("DELETE FROM scratch.arrivals");
    this.database.exec("DELETE FROM scratch.letters");
    this.database.exec("DELETE FROM scratch.marks");
  }

  close(): void {
    for (const statement of Object.values(this.statements)) statement.finalize();
    this.database.close();
  }
}

/** A temporary database named `scratch`. */
export function attachScratch(database: Database): void {
  database.exec("ATTACH '' AS scratch");
  database.exec("PRAGMA scratch.journal_mode = OFF");
  database.exec("PRAGMA scratch.synchronous = OFF");
  database.exec(`PRAGMA scratch.cache_size = -${CACHE_KIB}`);
}
