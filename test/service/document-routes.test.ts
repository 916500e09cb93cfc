import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import type { Service } from "../../src/service/listening.ts";
import { type RunningApp, runApp } from "./running-app.ts";

/** Of dist/browser/standalone.js in the package that the module's header names. */
const SCALAR_SHA256 = "bf091006bdc3af6067af77c2f534812e3e633e94a94e87138069f570f33b762c";

let running: RunningApp;
let service: Service;
beforeAll(async () => {
  running = await runApp({ processors: [] });
  service = running.app.createService({ allowHosts: [] });
});
afterAll(() => running.close());

async function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  const all = { host: "localhost", ...headers };
  return service.fetch(new Request(`http://localhost${path}`, { headers: all }));
}

describe("GET /docs", () => {
  test("loads nothing but what the service itself has", async () => {
    const answer = await get("/docs");
    const page = await answer.text();
    expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
    const sources = [...page.matchAll(/(?:src|href)="([^"]*)"/g)].map(([, source]) => source);
    // An icon of nothing: a browser asks for one of its own accord, else.
    expect(sources).toEqual(["data:,", "/docs/scalar.js", "/docs/page.js"]);
    for (const source of sources.slice(1)) expect((await get(source as string)).status).toBe(200);
    const policy = answer.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("connect-src 'self'");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toMatch(/https?:|\*/);
    expect(await (await get("/docs/page.js")).text()).toContain('"url":"/openapi.json"');
  });

  test("has Scalar as its package has it, compressed for who takes that", async () => {
    const plain = await get("/docs/scalar.js", { "accept-encoding": "gzip;q=0, br" });
    expect(plain.headers.get("content-encoding")).toBeNull();
    const bytes = Buffer.from(await plain.arrayBuffer());
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(SCALAR_SHA256);
    const packed = await get("/docs/scalar.js", { "accept-encoding": "br, gzip" });
    expect(packed.headers.get("content-encoding")).toBe("gzip");
    expect(packed.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
    const unpacked = Bun.gunzipSync(await packed.arrayBuffer());
    expect(bytes.equals(unpacked)).toBe(true);
  });

  test("is refused to another host as all else is", async () => {
    expect((await get("/docs", { host: "evil.example" })).status).toBe(403);
  });
});
