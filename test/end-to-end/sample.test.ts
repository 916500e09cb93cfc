import { afterAll, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freshPrefix, kafkaTest, testBrokers } from "../kafka/broker.ts";
import { PROGRAM, type ProgramOptions, Running, run, temporaryFolder } from "./program.ts";

/** `sample`, `import`, `flags` as a newcomer types them. */

const TEST_MS = 60_000;
const folder = temporaryFolder();
const options = { folder: folder.path };
const shell = { ...options, program: ["bash", "-c"] };
const program = PROGRAM.join(" ");
afterAll(() => folder[Symbol.dispose]());

/** An answer, and a line of `flags --json`. */
interface Flagged {
  readonly wallet_id: string;
  readonly newest_event: number;
  readonly event_count: number;
  readonly episodes: readonly { readonly episode: number; readonly opening: object }[];
  readonly newest_episode: { readonly episode: number; readonly opening: object };
}

/** What holds on any log; `where` names it. */
async function playSample(at: ProgramOptions, where: readonly string[]): Promise<void> {
  const { folder: place } = at;
  const size = ["--deposits", "3000", "--wallets", "300"];
  const sampled = await run(at, "sample", ...size, "--answers", "answers.ndjson");
  expect(sampled).toMatchObject({ code: 0 });
  expect(sampled.err).toMatch(/^\d+ wallets must be flagged: answers\.ndjson\n$/);
  writeFileSync(join(place, "deposits.csv"), sampled.out);
  const imported = await run(at, "import", "deposits.csv", ...where);
  expect(imported).toMatchObject({ code: 0 });
  expect(imported.out).toMatch(/^deposits\.csv: 3,000 rows imported: .* 0 conflicts\n$/);
  const answers = parsed(readFileSync(join(place, "answers.ndjson"), "utf8"));
  const flags = parsed((await run(at, "flags", "--json", ...where)).out);
  expect(flags.map(({ wallet_id }) => wallet_id)).toEqual(
    answers.map(({ wallet_id }) => wallet_id),
  );
  expect(answers.length).toBeGreaterThan(10);
  for (const [i, { newest_event, event_count, episodes }] of answers.entries()) {
    const newest_episode = episodes.at(-1) as Flagged["newest_episode"];
    expect(flags[i]).toMatchObject({ newest_event, event_count, newest_episode });
  }
}

test("an imported sample is flagged as its answers say", () => playSample(options, []), TEST_MS);

kafkaTest("and on a cluster", async () => {
  using other = temporaryFolder();
  const where = ["--brokers", await testBrokers(), "--prefix", freshPrefix()];
  const at = { folder: other.path };
  await using processing = new Running(at, "process", "--all", "--partitions", "2", ...where);
  await processing.says(/^processing +collector/m);
  await playSample(at, where);
}, TEST_MS);

test("a reader that wants a few rows of a sample gets them, and there are no answers", async () => {
  const script = `set -o pipefail; ${program} sample --answers part.ndjson | head -n 2`;
  const piped = await run(shell, script);
  expect(piped).toMatchObject({ code: 0, err: "" });
  expect(piped.out).toMatch(/^wallet_id,amount,accepted_at,id\nwallet-\d{5},.*\n$/);
  expect(existsSync(join(folder.path, "part.ndjson"))).toBe(false);
}, TEST_MS);

function parsed(lines: string): Flagged[] {
  return lines
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Flagged)
    .sort((a, b) => (a.wallet_id < b.wallet_id ? -1 : 1));
}
