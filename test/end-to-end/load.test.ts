/** `load` against the running program. */

import { expect, test } from "bun:test";
import { PROGRAM, run, Running, temporaryFolder } from "./program.ts";

const SHORT = ["--warm-up", "0s", "--duration", "300ms", "--workers", "8"];

test("load tells how a service answers, and that all it acknowledged is counted", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  await using service = new Running(options, "up", "--port", "0");
  const url = await service.serves();
  const mix = ["--mix", "deposit=3,check=1,settle=1", "--keys"];
  const told = await run(options, "load", url, ...SHORT, ...mix, "--verify", "--json");
  expect(told.code, told.err).toBe(0);
  const report = JSON.parse(told.out) as Record<string, unknown> & {
    readonly kinds: Record<string, { readonly requests: number }>;
    readonly verified: { readonly acknowledged: number };
  };
  expect(Object.keys(report.kinds).toSorted()).toEqual(["check", "deposit", "settle"]);
  expect(report).toMatchObject({ failures: 0, unsent: 0, errors: {}, verified: { wrong: [] } });
  expect(report.verified.acknowledged).toBeGreaterThan(0);
  const text = await run(options, "load", url, ...SHORT, "--rate", "200", "--verify");
  expect(text.code, text.err).toBe(0);
  expect(text.out).toMatch(/^deposit +60 +200 /m);
  expect(text.out).toMatch(/^errors {6}none\nverified {4}60 acknowledged deposits in \d+ wallets/m);

  // Three wallets of which the first gets nearly all, and an amount that is always the same.
  const shape = ["--wallets", "3", "--wallet-prefix", "own-", "--skew", "9", "--amount", "2..2"];
  const rest = ["--timeout", "5s", "--seed", "7", "--verify"];
  const shaped = await run(options, "load", url, ...SHORT, "--rate", "200", ...shape, ...rest);
  expect(shaped.code, shaped.err).toBe(0);
  expect(shaped.out).toMatch(/^verified {4}60 acknowledged deposits in [12] wallets/m);
  const first = await fetch(`${url}/check/own-0000000`);
  const { balance } = (await first.json()) as { balance: number };
  expect(balance).toBeGreaterThan(100);
  expect(balance % 2).toBe(0);
});

test("load shows on a terminal how far it is, and takes that away", async () => {
  using folder = temporaryFolder();
  await using service = new Running({ folder: folder.path }, "up", "--port", "0");
  const url = await service.serves();
  const short = ["--warm-up", "1500ms", "--duration", "1500ms", "--workers", "1"];
  let screen = "";
  const child = Bun.spawn([...PROGRAM, "load", url, ...short], {
    cwd: folder.path,
    env: { PATH: process.env["PATH"], TERM: "xterm" },
    terminal: { cols: 120, data: (_, bytes) => (screen += Buffer.from(bytes).toString()) },
  });
  expect({ code: await child.exited, screen }).toMatchObject({ code: 0 });
  expect(screen).toMatch(/[█░]+ \d s of 3 s, warming up/);
  expect(screen).toMatch(/[█░]+ \d s of 3 s, [\d,]+\/s, no errors/);
  const [, report] = screen.split("\x1b[2K"); // the line is cleared
  expect(report).toStartWith(`${url}: 1 workers, `);
  expect(report).not.toMatch(/[█░]/);
});

test("load that gets nothing but refusals ends with 1", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  const fetch = ({ method }: Request) =>
    method === "GET"
      ? Response.json({ wallet_id: "any", balance: 0, above_threshold: false })
      : Response.json({ error: "the log is away", code: "log_unavailable" }, { status: 503 });
  using service = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch });
  const told = await run(options, "load", `http://127.0.0.1:${service.port}`, ...SHORT);
  expect(told.out).toMatch(/^error {7}\d[\d,]* log_unavailable: the log is away$/m);
  expect(told.err).toBe("error: no request of the measured time was answered with success\n");
  expect(told.code).toBe(1);
});

test("load says what is wrong where it cannot begin", async () => {
  using folder = temporaryFolder();
  const options = { folder: folder.path };
  const nobody = await run(options, "load", "http://127.0.0.1:1");
  expect([nobody.code, nobody.err]).toEqual([
    1,
    expect.stringContaining("no connection to 127.0.0.1:1"),
  ]);
  const misspelt = await run(options, "load", "http://127.0.0.1:1", "--mix", "depost=1");
  expect(misspelt.code).toBe(2);
  expect(misspelt.err).toContain('--mix is "depost=1"');
});
