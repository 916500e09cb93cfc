import { describe, expect, test } from "bun:test";
import { createGuard } from "../../src/service/host-guard.ts";

function refusal(headers: Record<string, string>, allowHosts: readonly string[] = []) {
  return createGuard(allowHosts)(new Headers(headers))?.code ?? null;
}

describe("the host", () => {
  test.each([
    "localhost",
    "localhost:8080",
    "LocalHost:8080",
    "localhost.",
    "localhost.:8080",
    "wallets.localhost",
    "127.0.0.1",
    "127.0.0.1:65535",
    "127.255.255.255",
    "[::1]",
    "[::1]:8080",
  ])("%s is this machine", (host) => {
    expect(refusal({ host })).toBeNull();
  });

  test.each([
    "evil.example",
    "evil.example:8080",
    "localhost.evil.example",
    "notlocalhost",
    "127.0.0.1.evil.example",
    "127.0.0.256",
    "127.0.0.01",
    "127.1",
    "128.0.0.1",
    "0.0.0.0",
    "10.0.0.7",
    "[::]",
    "[::2]",
    "[::ffff:10.0.0.7]",
    "evil.example#@localhost",
    "evil.example/localhost",
    "user@localhost",
    "localhost, evil.example",
    "localhost:8080:8080",
    "localhost:port",
    "localhost..",
    ".localhost",
    " ",
    "",
  ])("%p is foreign", (host) => {
    expect(refusal({ host })).toBe("foreign_host");
  });

  test("must be named", () => {
    expect(refusal({})).toBe("foreign_host");
    expect(refusal({}, ["*"])).toBe("foreign_host");
  });

  test("may be one that the operator named, in any writing and with any port", () => {
    const allowed = ["Deposits.Example", "10.0.0.7", "fe80::7", "proxy:9000"];
    const hosts = ["deposits.example.:80", "DEPOSITS.EXAMPLE", "10.0.0.7:1", "[FE80::7]:8080"];
    expect(refusal({ host: "proxy" }, allowed)).toBeNull();
    for (const host of hosts) expect(refusal({ host }, allowed)).toBeNull();
    expect(refusal({ host: "other.example" }, allowed)).toBe("foreign_host");
    expect(refusal({ host: "x.deposits.example" }, allowed)).toBe("foreign_host");
  });

  test("may be any with *, as long as it is a name", () => {
    expect(refusal({ host: "evil.example:80" }, ["*"])).toBeNull();
    expect(refusal({ host: "evil.example/x" }, ["*"])).toBe("foreign_host");
  });

  test("that was good once does not let another in", () => {
    const guard = createGuard([]);
    const codes = ["localhost", "evil.example", "localhost", "evil.example"].map(
      (host) => guard(new Headers({ host }))?.code ?? null,
    );
    expect(codes).toEqual([null, "foreign_host", null, "foreign_host"]);
  });
});

describe("the origin", () => {
  test.each([
    ["http://localhost:8080", "localhost:8080"],
    ["HTTP://LOCALHOST:8080", "localhost:8080"],
    ["https://deposits.example", "deposits.example"],
  ])("%s is our own at %s", (origin, host) => {
    expect(refusal({ origin, host }, ["deposits.example"])).toBeNull();
  });

  test.each([
    ["https://evil.example", "localhost:8080"],
    ["http://localhost:3000", "localhost:8080"],
    ["http://localhost", "localhost:8080"],
    ["http://127.0.0.1:8080", "localhost:8080"],
    ["http://localhost:8080.evil.example", "localhost:8080"],
    ["null", "localhost:8080"],
    ["file://", "localhost:8080"],
    ["ftp://localhost:8080", "localhost:8080"],
    ["", "localhost:8080"],
  ])("%p is foreign at %s, whatever hosts are allowed", (origin, host) => {
    expect(refusal({ origin, host })).toBe("foreign_origin");
    expect(refusal({ origin, host }, ["*"])).toBe("foreign_origin");
  });
});
