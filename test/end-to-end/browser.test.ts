/** A page of another origin in a real browser: it can neither deposit nor read. */

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";
import { Running, temporaryFolder } from "./program.ts";
import { post } from "./session.ts";

const TEST_MS = 120_000;
/** Where Debian's package puts it. */
const CHROMIUM = "/usr/bin/chromium";
/** A name of somebody else's that is made to lead to this machine. */
const REBOUND = "rebound.example";

function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    // Root has no sandbox of its own; the pages here are the test's.
    args: ["--no-sandbox", `--host-resolver-rules=MAP ${REBOUND} 127.0.0.1`],
  });
}

/** Runs in the page. */
interface Tried {
  readonly status: number | null;
  readonly text: string | null;
}

// Skipped: Debian's chromium is not installed
test.skipIf(!existsSync(CHROMIUM))(
  "a page of another origin, or of a name made to lead here, is refused in a browser",
  async () => {
    using folder = temporaryFolder();
    await using up = new Running({ folder: folder.path }, "up", "--port", "0");
    const url = await up.serves();
    const { port } = new URL(url);
    const { position } = await post(url, '{"wallet_id": "alice", "amount": 5}');
    const balance = async () => {
      const answer = await fetch(`${url}/check/alice?after=${position}`);
      return ((await answer.json()) as { balance: number }).balance;
    };
    using evil = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: () => new Response("<h1>page</h1>", { headers: { "content-type": "text/html" } }),
    });
    const browser = await launch();
    try {
      // Without the answers' own policy, which would stop the page before the guard is asked.
      const page = await browser.newPage({ bypassCSP: true });
      const tried = (path: string, method: string, from = url): Promise<Tried> =>
        page.evaluate(
          async ([target, how]) => {
            const body = '{"wallet_id": "alice", "amount": 1000}';
            try {
              const sent = how === "POST" ? { method: "POST", body } : {};
              const answer = await fetch(target as string, sent);
              return { status: answer.status, text: await answer.text() };
            } catch {
              return { status: null, text: null };
            }
          },
          [`${from}${path}`, method],
        );

      // The service's own page may use it: what follows is no fault of the browser's.
      await page.goto(`${url}/healthz`);
      expect((await tried("/check/alice", "GET")).status).toBe(200);

      await page.goto(evil.url.href);
      for (const path of ["/flags", "/check/alice", "/flags/alice"]) {
        expect([path, await tried(path, "GET")]).toEqual([path, { status: null, text: null }]);
      }
      expect(await tried("/deposit", "POST")).toEqual({ status: null, text: null });
      // A form's answer is shown as a page: that it was refused can be read there.
      const field = '{"wallet_id": "alice", "amount": 1000, "x": "';
      await page.setContent(
        `<form method="post" enctype="text/plain" action="${url}/deposit">` +
          `<input name='${field}' value='"}'></form>`,
      );
      const [answer] = await Promise.all([
        page.waitForResponse(`${url}/deposit`),
        page.waitForURL(`${url}/deposit`, { waitUntil: "load" }),
        page.evaluate("document.forms[0].submit()"),
      ]);
      expect([answer.status(), answer.headers()["content-type"]]).toEqual([
        403,
        "application/json",
      ]);

      const rebound = `http://${REBOUND}:${port}`;
      const landed = await page.goto(`${rebound}/healthz`);
      expect(landed?.status()).toBe(403);
      for (const [path, method] of [["/flags", "GET"], ["/deposit", "POST"]] as const) {
        const { status, text } = await tried(path, method, rebound);
        expect([path, status]).toEqual([path, 403]);
        expect(text).toContain("foreign_host");
      }
      expect(await balance()).toBe(5);
    } finally {
      await browser.close();
    }
  },
  TEST_MS,
);
