/**
 * The document of the service, and a page that shows it and works without any network.
 *
 *   GET /openapi.json ──first asked for──> built, kept         GET /docs ──> Scalar, from here
 *
 * Neither costs a start anything: what they are made of is loaded when somebody asks.
 */

import type { Hono } from "hono";
import type { DocumentOptions } from "./document/openapi.ts";
import { newRoutes } from "./listening.ts";

/** The page gets nothing from elsewhere, tells nobody anything and can be framed by nobody. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Depositaja</title>
<link rel="icon" href="data:,">
<div id="page"></div>
<script src="/docs/scalar.js"></script>
<script src="/docs/page.js"></script>
</html>
`;

/** Nothing of Scalar's own that asks other hosts: fonts, telemetry, its agent and its services. */
const START = `Scalar.createApiReference("#page", ${JSON.stringify({
  url: "/openapi.json",
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  hideClientButton: true,
  showDeveloperTools: "never",
  defaultOpenAllTags: true,
})});
`;

export function documentRoutes(options: DocumentOptions): Hono {
  const routes = newRoutes();
  let documentText: Promise<string> | null = null;
  routes.get("/openapi.json", async () => {
    documentText ??= buildDocument(options);
    return typed(await documentText, "application/json");
  });
  routes.get("/docs", () => {
    const page = typed(PAGE, "text/html; charset=utf-8");
    page.headers.set("content-security-policy", CONTENT_SECURITY_POLICY);
    return page;
  });
  routes.get("/docs/page.js", () => typed(START, JAVASCRIPT));
  routes.get("/docs/scalar.js", async (c) => {
    const { scalarScript } = await import("./scalar/script.ts");
    return scalarScript(c.req.raw.headers);
  });
  return routes;
}

const JAVASCRIPT = "text/javascript; charset=utf-8";

async function buildDocument(options: DocumentOptions): Promise<string> {
  const { openApiDocument } = await import("./document/openapi.ts");
  return JSON.stringify(openApiDocument(options));
}

function typed(text: string, type: string): Response {
  return new Response(text, { headers: { "content-type": type } });
}
