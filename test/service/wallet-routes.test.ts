import { afterEach, expect, test } from "bun:test";
import { ask, depositBody } from "./requests.ts";
import { closeApps, runService, within } from "./running-app.ts";

afterEach(closeApps);

test("GET /wallets/{wallet_id} has exact strings, the count and the last deposits", async () => {
  const { service } = await runService();
  const headers = { "idempotency-key": "k1" };
  await ask(service, "POST /deposit", { ...depositBody("ü/é", "90071992547409.93"), headers });
  let position = "";
  for (const amount of ["0.1", "1", "2", "3", "4"]) {
    const answer = await ask(service, "POST /deposit", depositBody("ü/é", amount));
    ({ position } = answer.json as { position: string });
  }
  const line = `GET /wallets/${encodeURIComponent("ü/é")}?after=${position}`;
  const answer = await within(ask(service, line));
  const partition = position.split("-")[0];
  const last = (offset: number, amount: string) => ({
    deposit_id: `${partition}-${offset}`,
    client_id: null,
    amount,
    accepted_at_ms: Date.UTC(2026, 0, 31, 12),
    accepted_at: "2026-01-31T12:00:00.000Z",
  });
  expect(answer.json).toEqual({
    wallet_id: "ü/é",
    balance: "90071992547420.03",
    deposit_count: 6,
    above_threshold: true,
    last_deposits: [
      last(1, "0.10"),
      last(2, "1.00"),
      last(3, "2.00"),
      last(4, "3.00"),
      last(5, "4.00"),
    ],
    position,
  });
});

test("of a wallet without a deposit nothing is told, whatever operators did about it", async () => {
  const { service } = await runService();
  const unknown = {
    status: 404,
    json: {
      error: 'no deposit has been counted of the wallet "erin"',
      code: "unknown_wallet",
    },
  };
  expect(await ask(service, "GET /wallets/erin")).toMatchObject(unknown);
  const body = '{"action":"add","actor":"ana"}';
  expect((await within(ask(service, "POST /flags/erin", { body }))).status).toBe(200);
  expect(await ask(service, "GET /wallets/erin")).toMatchObject(unknown);
});

test("a wallet of any name is found, one of a broken name is refused", async () => {
  const { service } = await runService();
  for (const id of ["feed", "flags", "a/b", "%", "☃"]) {
    const answer = await ask(service, "POST /deposit", depositBody(id, "1"));
    const { position } = answer.json as { position: string };
    const path = `/wallets/${encodeURIComponent(id)}?after=${position}`;
    expect((await within(ask(service, `GET ${path}`))).json).toMatchObject({ wallet_id: id });
  }
  for (const path of ["/wallets/", "/wallets/%zz", "/wallets/%00"]) {
    const answer = await ask(service, `GET ${path}`);
    expect(answer).toMatchObject({ status: 422, json: { code: "invalid_wallet_id" } });
  }
  for (const query of ["after=1", "x=1"]) {
    expect((await ask(service, `GET /wallets/alice?${query}`)).status).toBe(422);
  }
});
