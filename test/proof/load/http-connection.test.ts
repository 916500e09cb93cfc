/** What is read of an answer. */

import { expect, test } from "bun:test";
import { type Answer, HttpConnection } from "../../../src/proof/load/http-connection.ts";

test("an answer has its status, its body, and when to ask again if it says so", async () => {
  const body = "retry-after: 9";
  using server = Bun.serve({
    ...{ hostname: "127.0.0.1", port: 0 },
    fetch({ url }) {
      const headers = url.endsWith("/later") ? { "Retry-After": "2" } : {};
      return new Response(body, { status: url.endsWith("/fine") ? 200 : 429, headers });
    },
  });
  const connection = await HttpConnection.open(server.url);
  const asked = (path: string) =>
    new Promise<Answer | null>((resolve) =>
      connection.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`, resolve),
    );
  expect(await asked("/later")).toEqual({ status: 429, body, retryAfterMs: 2_000 });
  expect(await asked("/any")).toEqual({ status: 429, body, retryAfterMs: null });
  expect(await asked("/fine")).toEqual({ status: 200, body, retryAfterMs: null });
  connection.close();
});
