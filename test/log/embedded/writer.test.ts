import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { Writer } from "../../../src/log/embedded/writer.ts";
import { LogError } from "../../../src/log/event-log.ts";
import { errorOf } from "../../conformance/fixture.ts";

test("what is written together is refused together once the disk has ended it", async () => {
  using database = new Database(":memory:");
  database.exec("CREATE TABLE rows (number INTEGER)");
  const nothing = () => {};
  const writer = new Writer({
    database,
    afterBegin: nothing,
    beforeCommit: nothing,
    afterRollback: nothing,
    sync: nothing,
    afterCommit: nothing,
    monotonicMs: () => 0,
    step: nothing,
  });
  const insert = (number: number) =>
    writer.enqueue({
      bytes: 1,
      run: () => database.query("INSERT INTO rows VALUES (?)").run(number),
    });
  const fail = () => {
    database.exec("ROLLBACK"); // as SQLite does when it cannot read
    throw new LogError("unavailable", "it cannot be read");
  };
  const all = [insert(1), writer.enqueue({ bytes: 1, run: fail }), insert(2)];
  const errors = await Promise.all(all.map(errorOf));
  expect(errors.map(({ code }) => code)).toEqual(all.map(() => "unavailable"));
  expect(database.query("SELECT number FROM rows").values()).toEqual([]);
  expect(writer.problem).toBeNull();
  await insert(3);
  expect(database.query("SELECT number FROM rows").values()).toEqual([[3]]);
  await writer.close();
});
