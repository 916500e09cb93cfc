/** Pages in a real browser: what those of other origins can do, and that our own works. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { Running, run, temporaryFolder, until } from "./program.ts";
import { post } from "./session.ts";

const TEST_MS = 60_000;
const CHROMIUM = Bun.which("chromium");
const reason = CHROMIUM === null ? " (skipped: without chromium)" : "";
// Skipped: where Debian's chromium is not installed.
const browserTest = test.skipIf(CHROMIUM === null);
const HTML = join(import.meta.dir, "other-origin.html");
/** A name that its owner has made lead to this machine. No other name leads anywhere. */
const REBOUND = "rebound.test";
const NAMES = `MAP ${REBOUND} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`;

/** What a page learns where the browser keeps an answer from it, or was told not to ask for one. */
const KEPT = "TypeError: Failed to fetch";
const OPAQUE = "opaque 0 ";
/** The same for a wallet that is known and for one that is not. */
const EMBEDDED = { script: "error", img: "error", object: "error", iframe: "load" };
const NOTHING = {
  depositJson: KEPT,
  depositText: KEPT,
  depositUnasked: OPAQUE,
  depositForm: "hidden",
  depositBeacon: "queued",
  flag: KEPT,
  reads: every(KEPT),
  unaskedReads: every(OPAQUE),
  known: EMBEDDED,
  unknown: EMBEDDED,
};
/** POSTs that reach the service; the browser keeps back one deposit, as it was told to. */
const REFUSED_POSTS = { "/deposit": 4, "/flags/{wallet_id}": 1 };
const ALL_POSTS = { "/deposit": 5, "/flags/{wallet_id}": 1 };

interface Service {
  readonly url: string;
  /** What is in its log, by topic. */
  readonly recordCounts: () => Promise<Record<string, number>>;
}

interface TopicRecords {
  readonly topic: string;
  readonly records: number;
}

describe(`in a browser${reason}`, () => {
  const stack = new AsyncDisposableStack();
  let browser: Browser;
  let closed: Service;
  let open: Service;
  let shop: string;
  let other: string;

  beforeAll(async () => {
    if (CHROMIUM === null) return;
    const folder = stack.use(temporaryFolder()).path;
    [shop, other] = [servePage(stack), servePage(stack)];
    [browser, closed, open] = await Promise.all([
      startBrowser(stack, CHROMIUM),
      startService(stack, folder, "closed"),
      startService(stack, folder, "open", "--cors-origin", shop),
    ]);
  }, TEST_MS);
  afterAll(() => stack.disposeAsync());

  browserTest("a page of another origin, or another name, does and reads nothing", async () => {
    expect(await tried(browser, shop, closed, REFUSED_POSTS)).toEqual(NOTHING);

    // To the browser this one is of the service's own origin: it is shown each refusal.
    const rebound = closed.url.replace("127.0.0.1", REBOUND);
    const refused = expect.stringMatching(/^basic 403 .*"foreign_host"/);
    expect(await tried(browser, rebound, closed, ALL_POSTS)).toEqual({
      ...NOTHING,
      ...{ depositJson: refused, depositText: refused, depositUnasked: refused, flag: refused },
      ...{ reads: every(refused), unaskedReads: every(refused) },
    });
    expect(await closed.recordCounts()).toMatchObject({ deposit: 1, flag_wallet: 0 });
  }, TEST_MS);

  browserTest("a page of the origin that --cors-origin names may do all, no other", async () => {
    expect(await tried(browser, other, open, REFUSED_POSTS)).toEqual(NOTHING);
    const done = expect.stringMatching(/^cors 200 \{/);
    expect(await tried(browser, shop, open, ALL_POSTS)).toEqual({
      ...NOTHING,
      ...{ depositJson: done, depositText: done, flag: done },
      reads: every(done),
    });
    expect(await open.recordCounts()).toMatchObject({ deposit: 6, flag_wallet: 1 });
  }, TEST_MS);

  browserTest("the service's own page works, asks no other host, and may deposit", async () => {
    const page = await browser.newPage();
    const asked = new Set<string>();
    const complaints: string[] = [];
    page.on("request", (request) => asked.add(new URL(request.url()).origin));
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (line) => {
      if (["error", "warning"].includes(line.type())) complaints.push(line.text());
    });
    await page.goto(`${closed.url}/docs`);
    await page.getByText("/flags/{wallet_id}").first().waitFor({ timeout: TEST_MS });
    const body = JSON.stringify({ wallet_id: "bob", amount: 5 });
    const options = JSON.stringify({ method: "POST", body });
    const status = await page.evaluate(`fetch("/deposit", ${options}).then((a) => a.status)`);
    expect(status).toBe(200);
    expect({ asked: [...asked], complaints }).toEqual({ asked: [closed.url], complaints: [] });
  }, TEST_MS);
});

/** What the page at `origin` tells of its attempts, once all its POSTs have been answered. */
async function tried(
  browser: Browser,
  origin: string,
  service: Service,
  posts: Readonly<Record<string, number>>,
): Promise<unknown> {
  const before = await answeredPosts(service);
  const isRebound = new URL(origin).hostname === REBOUND;
  // Before its name was made to lead to the service, such a page came from elsewhere: it is put
  // in the place of the service's refusal, without the policy that this has.
  await using page = await browser.newPage({ bypassCSP: isRebound });
  await page.goto(`${origin}/`);
  if (isRebound) await page.setContent(await Bun.file(HTML).text());
  const target = isRebound ? origin : service.url;
  const told = await page.evaluate(`attempts(${JSON.stringify(target)})`);
  for (const [route, count] of Object.entries(posts)) {
    const hasCome = async () =>
      ((await answeredPosts(service))[route] ?? 0) >= (before[route] ?? 0) + count;
    await until(hasCome, () => `${count} POSTs to ${route}: ${JSON.stringify(told)}`);
  }
  return told;
}

/** By route, as the service counts them. */
async function answeredPosts({ url }: Service): Promise<Record<string, number>> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const counts: Record<string, number> = {};
  const line = /^depositaja_http_requests_total\{route="(.+)",method="POST",.+\} (\d+)$/gm;
  for (const [, route = "", count] of metrics.matchAll(line)) {
    counts[route] = (counts[route] ?? 0) + Number(count);
  }
  return counts;
}

function every(answer: unknown): Record<string, unknown> {
  const paths = ["/check/alice", "/wallets/alice", "/flags", "/flags/alice"];
  return Object.fromEntries(paths.map((path) => [path, answer]));
}

function servePage(stack: AsyncDisposableStack): string {
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => new Response(Bun.file(HTML)),
  });
  stack.defer(() => server.stop(true));
  return server.url.origin;
}

/** Without Chromium's own sandbox, which root and most containers cannot have. */
async function startBrowser(stack: AsyncDisposableStack, executablePath: string) {
  return stack.use(
    await chromium.launch({
      executablePath,
      chromiumSandbox: false,
      args: [`--host-resolver-rules=${NAMES}`],
      timeout: TEST_MS,
    }),
  );
}

/** With one deposit in its log. */
async function startService(
  stack: AsyncDisposableStack,
  folder: string,
  data: string,
  ...args: string[]
): Promise<Service> {
  const start = ["up", "--port", "0", "--partitions", "1", "--data", data, ...args];
  const url = await stack.use(new Running({ folder }, ...start)).serves();
  const { position } = await post(url, '{"wallet_id": "alice", "amount": 5}');
  expect(await (await fetch(`${url}/check/alice?after=${position}`)).json()).toMatchObject({
    balance: 5,
  });
  const recordCounts = async () => {
    const { out } = await run({ folder }, "topics", "--json", "--data", data);
    const topics = out.trimEnd().split("\n").map((line) => JSON.parse(line) as TopicRecords);
    return Object.fromEntries(topics.map(({ topic, records }) => [topic, records]));
  };
  return { url, recordCounts };
}
