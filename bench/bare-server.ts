/**
 * The baseline: what hono on Bun answers when it does nothing else, with the same routes, bodies
 * and runtime as the service. Prints its port.
 *
 *   POST /deposit ──> the body's JSON again      GET /check/:wallet ──> a small JSON object
 */

import { Hono } from "hono";

const app = new Hono();
app.post("/deposit", async (context) => context.json(await context.req.json()));
app.get("/check/:wallet_id", (context) =>
  context.json({
    wallet_id: context.req.param("wallet_id"),
    balance: 12_345.67,
    above_threshold: false,
  }),
);

const server = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: app.fetch });
console.log(server.port);
