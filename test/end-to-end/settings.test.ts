/** Each setting takes effect on the running program, typed or from the environment. */

import { expect, test } from "bun:test";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeCertificates } from "../kafka/certificates.ts";
import { type ProgramOptions, Running, run, temporaryFolder, until } from "./program.ts";

const TEST_MS = 60_000;
const SHOP = "https://shop.example.org";
/** Typed, and from a settings file or the environment. */
type Said = readonly [option: string, variable: string, value: string];

const ACCESS: readonly Said[] = [
  ["--allow-host", "DEPOSITAJA_ALLOW_HOST", "shop.test,localhost"],
  ["--keys", "DEPOSITAJA_KEYS_FILE", "keys"],
  ["--https-cert", "DEPOSITAJA_HTTPS_CERT", "own.crt"],
  ["--https-key", "DEPOSITAJA_HTTPS_KEY", "own.key"],
];
const SIZE: readonly Said[] = [
  ["--partitions", "DEPOSITAJA_PARTITIONS", "3"],
  ["--decimals", "DEPOSITAJA_DECIMALS", "3"],
  ["--data", "DEPOSITAJA_DATA", "here"],
];
const SERVICE: readonly Said[] = [
  ...[...ACCESS, ...SIZE],
  ["--host", "DEPOSITAJA_HOST", "0.0.0.0"],
  ["--port", "DEPOSITAJA_PORT", "0"],
  ["--cors-origin", "DEPOSITAJA_CORS_ORIGIN", SHOP],
  ["--hide-flags", "DEPOSITAJA_HIDE_FLAGS", "true"],
  ["--rate-limit", "DEPOSITAJA_RATE_LIMIT", "5"],
];
const PROCESS: readonly Said[] = [
  ...[...ACCESS, ...SIZE],
  ["--health", "DEPOSITAJA_HEALTH", "0.0.0.0:0"],
];

const SWITCHES = new Set(["--hide-flags", "--insecure"]);
const typed = (said: readonly Said[]) =>
  said.flatMap(([option, , value]) => (SWITCHES.has(option) ? [option] : [option, value]));
const inEnvironment = (said: readonly Said[]) =>
  Object.fromEntries(said.map(([, variable, value]) => [variable, value]));

/** A certificate and three keys, and a way to ask what has them. */
async function prepared(folder: string) {
  const at = { folder };
  await makeCertificates(join(folder, "made"));
  for (const end of ["crt", "key"]) {
    copyFileSync(join(folder, "made", `broker.${end}`), join(folder, `own.${end}`));
  }
  const ca = readFileSync(join(folder, "made", "ca.crt"), "utf8");
  const secrets: Record<string, string> = {};
  const scopes = { shop: "client", burst: "client", desk: "operator" };
  for (const [name, scope] of Object.entries(scopes)) {
    const made = await run(at, "keys", "create", name, "--scope", scope, "--keys", "keys");
    expect(made.code).toBe(0);
    secrets[name] = made.out.trim();
  }
  /** `url` with the name that the certificate has; null: without a key. */
  const ask = (url: string, key: string | null, request: RequestInit = {}) =>
    fetch(url.replace("0.0.0.0", "localhost"), {
      ...request,
      headers: {
        ...(key === null ? {} : { authorization: `Bearer ${secrets[key]}` }),
        ...(request.headers as Record<string, string>),
      },
      tls: { ca },
    });
  return { at, ask };
}

type Ask = Awaited<ReturnType<typeof prepared>>["ask"];

/** What SERVICE says, on a service that was started with it. */
async function playService(ask: Ask, service: Running): Promise<void> {
  const url = await service.serves();
  expect(url).toStartWith("https://0.0.0.0:");
  expect(service.out).toMatch(/^data +\S+\/here \(created, 3 partitions, 3 decimals\)$/m);
  expect((await ask(`${url}/check/alice`, null)).status).toBe(401);
  const body = '{"wallet_id": "alice", "amount": "0.001"}';
  const deposited = await ask(`${url}/deposit`, "shop", { method: "POST", body });
  expect(await deposited.json()).toMatchObject({ amount: 0.001 });
  const checked = await ask(`${url}/check/alice`, "shop", { headers: { origin: SHOP } });
  expect(checked.headers.get("access-control-allow-origin")).toBe(SHOP);
  expect(await checked.json()).not.toHaveProperty("above_threshold");
  const foreign = { headers: { origin: "https://evil.example" } };
  expect((await ask(`${url}/check/alice`, "shop", foreign)).status).toBe(403);
  for (const [host, status] of [["shop.test", 200], ["evil.test", 403]] as const) {
    expect((await ask(`${url}/healthz`, null, { headers: { host } })).status).toBe(status);
  }
  const burst = Array.from({ length: 40 }, () => ask(`${url}/check/alice`, "burst"));
  const statuses = (await Promise.all(burst)).map(({ status }) => status);
  expect([...new Set(statuses)].toSorted()).toEqual([200, 429]);
}

test("what is typed holds for up and serve, what the environment says as well", async () => {
  using folder = temporaryFolder();
  const { at, ask } = await prepared(folder.path);
  const environment = inEnvironment(SERVICE);
  const starts: [ProgramOptions, ...string[]][] = [
    [at, "up", ...typed(SERVICE)],
    [at, "serve", ...typed(SERVICE)],
    [{ ...at, environment }, "up"],
  ];
  for (const [options, ...args] of starts) {
    await Bun.$`rm -rf here`.cwd(folder.path);
    await using service = new Running(options, ...args);
    await playService(ask, service);
    expect((await service.stop()).code).toBe(0);
  }
  // Without keys and HTTPS, when it is told that this will do.
  const insecure = inEnvironment([
    ["--host", "DEPOSITAJA_HOST", "0.0.0.0"],
    ["--port", "DEPOSITAJA_PORT", "0"],
    ["--allow-host", "DEPOSITAJA_ALLOW_HOST", "*"],
  ]);
  expect(await run({ ...at, environment: insecure }, "up")).toMatchObject({ code: 2, out: "" });
  const told = { ...insecure, DEPOSITAJA_INSECURE: "true" };
  const ways: [Record<string, string>, ...string[]][] = [
    [told, "serve"],
    [insecure, "up", "--insecure"],
  ];
  for (const [variables, ...args] of ways) {
    await using service = new Running({ ...at, environment: variables }, ...args);
    const url = (await service.serves()).replace("0.0.0.0", "127.0.0.1");
    expect((await fetch(`${url}/check/alice`)).status).toBe(200);
  }
}, TEST_MS);

test("process --health asks for keys over HTTPS, typed and from the environment", async () => {
  using folder = temporaryFolder();
  const { at, ask } = await prepared(folder.path);
  const starts: [ProgramOptions, ...string[]][] = [
    [at, "process", "--all", ...typed(PROCESS)],
    [{ ...at, environment: inEnvironment(PROCESS) }, "process", "--all"],
  ];
  for (const [options, ...args] of starts) {
    await Bun.$`rm -rf here`.cwd(folder.path);
    await using processing = new Running(options, ...args);
    const url = await processing.says(/^health +(https:\S+)\/readyz$/m);
    expect(processing.out).toMatch(/^data +\S+\/here \(created, 3 partitions, 3 decimals\)$/m);
    await until(async () => (await ask(`${url}/readyz`, null)).ok, () => processing.err);
    const statuses = [null, "shop", "desk"].map(async (key) => {
      return (await ask(`${url}/metrics`, key)).status;
    });
    expect(await Promise.all(statuses)).toEqual([401, 403, 200]);
    for (const [host, status] of [["shop.test", 200], ["evil.test", 403]] as const) {
      expect((await ask(`${url}/healthz`, null, { headers: { host } })).status).toBe(status);
    }
    expect((await processing.stop()).code).toBe(0);
  }
  const open = ["process", "--all", "--health", "0.0.0.0:0", "--allow-host", "*", "--insecure"];
  await using processing = new Running(at, ...open);
  const url = await processing.says(/^health +(http:\S+)\/readyz$/m);
  expect((await fetch(`${url.replace("0.0.0.0", "127.0.0.1")}/metrics`)).status).toBe(200);
}, TEST_MS);

test("config shows each that is typed, and each that the environment says", async () => {
  using folder = temporaryFolder();
  const at = { folder: folder.path };
  const all: Said[] = [
    ...[...SERVICE, ...PROCESS],
    ["--insecure", "DEPOSITAJA_INSECURE", "true"],
  ];
  const said = [...new Map(all.map((each) => [each[0], each])).values()];
  const environment = inEnvironment(said);
  const sources = [
    { outcome: await run(at, "config", "--json", ...typed(said)), source: 0 },
    { outcome: await run({ ...at, environment }, "config", "--json"), source: 1 },
  ] as const;
  for (const { outcome, source } of sources) {
    expect(outcome).toMatchObject({ code: 0, err: "" });
    const lines = outcome.out.trimEnd().split("\n");
    const shown = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const rows = shown.filter(({ from }) => from !== "default");
    const pairs = rows.map((row) => [row["setting"], row["source"]]);
    const expected = said.map((each) => [each[1], each[source]]);
    expect(pairs.toSorted()).toEqual(expected.toSorted());
  }
}, TEST_MS);

/** More than 10,000 in two minutes, with as many decimals as there are. */
for (const [decimals, cent] of [["0", "1"], ["3", "0.001"]] as const) {
  test(`amounts of ${decimals} decimals are counted, flagged and verified`, async () => {
    using folder = temporaryFolder();
    const at = { folder: folder.path };
    const rows = "wallet_id,amount,accepted_at\nalice,9999,1000\n";
    writeFileSync(join(folder.path, "history.csv"), rows);
    const size = ["--decimals", decimals, "--partitions", "2"];
    const imported = await run(at, "import", "history.csv", "--json", ...size);
    expect(imported.err).toContain(`(created, 2 partitions, ${decimals} decimals)`);
    expect(JSON.parse(imported.out)).toMatchObject({ file: "history.csv", conflicting: [] });
    const finer = await run(at, "deposit", "alice", decimals === "0" ? "0.1" : "0.0001");
    expect(finer).toMatchObject({ code: 2, out: "" });
    const whole = (amount: string) => (decimals === "0" ? amount : `${amount}.000`);
    const asked = async (...args: string[]) => {
      const { code, out, err } = await run(at, ...args, "--json");
      expect({ code, err: code === 0 ? "" : err }).toEqual({ code: 0, err: "" });
      return JSON.parse(out) as object;
    };
    const full = await asked("deposit", "alice", "1", "--at", "1001");
    expect(full).toMatchObject({ amount: whole("1") });
    expect(await asked("check", "alice")).toMatchObject({
      ...{ balance: whole("10000"), above_threshold: false },
    });
    await asked("deposit", "alice", cent, "--at", "1002");
    const balance = decimals === "0" ? "10001" : "10000.001";
    expect(await asked("check", "alice")).toMatchObject({ balance, above_threshold: true });
    const opening = { limit: whole("10000"), total: balance, deposit_count: 3 };
    expect(await asked("flags", "alice")).toMatchObject({ episodes: [{ opening }] });
    expect(await asked("verify")).toMatchObject({ ok: true, deposits: 3, wallets: 1 });
  }, TEST_MS);
}
