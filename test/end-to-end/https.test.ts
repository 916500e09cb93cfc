/** Addresses of other machines, and HTTPS whose certificate is changed while it serves. */

import { expect, test } from "bun:test";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeCertificates } from "../kafka/certificates.ts";
import { Running, run, temporaryFolder, until } from "./program.ts";

const TEST_MS = 60_000;

test("other machines are let in with keys and HTTPS, or when told that less will do", async () => {
  using folder = temporaryFolder();
  const at = { folder: folder.path };
  const made = await run(at, "keys", "create", "shop", "--scope", "client", "--keys", "keys");
  const secret = made.out.trim();
  await makeCertificates(join(folder.path, "first"));
  await makeCertificates(join(folder.path, "second"));
  const copy = (from: string, ends: readonly string[]) => {
    for (const end of ends) {
      copyFileSync(join(folder.path, from, `broker.${end}`), join(folder.path, `own.${end}`));
    }
  };
  const authority = (name: string) => readFileSync(join(folder.path, name, "ca.crt"), "utf8");
  copy("first", ["crt", "key"]);

  const open = ["--host", "0.0.0.0", "--allow-host", "localhost", "--port", "0"];
  const https = ["--https-cert", "own.crt", "--https-key", "own.key"];
  for (const command of ["serve", "up"]) {
    const keyless = await run(at, command, ...open, ...https);
    expect(keyless).toMatchObject({ code: 2, out: "" });
    expect(keyless.err).toContain("lets other machines in, and asks nobody for a key");
    const plain = await run(at, command, ...open, "--keys", "keys");
    expect(plain).toMatchObject({ code: 2, out: "" });
    expect(plain.err).toContain("their keys would be sent as they are: name a certificate");
  }
  await using insecure = new Running(at, "serve", ...open, "--insecure");
  expect(await insecure.serves()).toStartWith("http://0.0.0.0:");
  expect(insecure.err).toContain("--insecure: whoever reaches 0.0.0.0 can deposit, read all");
  expect((await insecure.stop()).code).toBe(0);

  await using serve = new Running(at, "serve", ...open, "--keys", "keys", ...https);
  const url = (await serve.serves()).replace("0.0.0.0", "localhost");
  expect(url).toStartWith("https://");
  /** Null where the certificate is of another authority. */
  const ask = async (path: string, ca: string, reason = /CERT|VERIFY|ISSUER/) => {
    const headers = { authorization: `Bearer ${secret}` };
    try {
      return (await fetch(`${url}${path}`, { headers, keepalive: false, tls: { ca } })).status;
    } catch (error) {
      expect((error as { code?: string }).code).toMatch(reason);
      return null;
    }
  };
  const [first, second] = [authority("first"), authority("second")];
  expect(await ask("/check/alice", first)).toBe(200);
  expect(await ask("/check/alice", second)).toBeNull();
  const deposited = await fetch(`${url}/deposit`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret}` },
    body: '{"wallet_id": "alice", "amount": 5}',
    tls: { ca: first },
  });
  const { position } = (await deposited.json()) as { position: string };
  writeFileSync(join(folder.path, "key"), `${secret}\n`);
  const short = ["--warm-up", "0s", "--duration", "200ms", "--workers", "2", "--verify"];
  const load = (...args: string[]) => run(at, "load", url, ...short, ...args);
  const ca = ["--ca", "first/ca.crt"];
  const [untrusted, keyless] = [await load("--key-file", "key"), await load(...ca)];
  expect(untrusted).toMatchObject({ code: 1, out: "" });
  expect(untrusted.err).toMatch(/^error: the certificate of \S+ is not trusted: .+ with --ca\n$/);
  expect(keyless).toMatchObject({ code: 1, out: "" });
  expect(keyless.err).toMatch(/ answers 401: a key is needed.+ a key with --key-file\n$/);
  const hashes = await load(...ca, "--key-file", "keys");
  expect(hashes).toMatchObject({ code: 2, err: expect.stringContaining("it has the hashes") });
  const loaded = await load(...ca, "--key-file", "key", "--mix", "check=1");
  expect(loaded.code, loaded.err).toBe(0);
  expect(loaded.out).toContain("errors      none");
  const other = await fetch(`${url}/check/alice`, {
    headers: { authorization: `Basic ${secret}` },
    tls: { ca: first },
  });
  expect(await other.text()).toContain("a key is sent as Authorization: Bearer <key>, and in no");

  const taken = await run(at, "serve", "--port", new URL(url).port, ...https, "--data", "other");
  expect(taken).toMatchObject({ code: 1, err: expect.stringContaining(" is taken: ") });

  copy("second", ["crt"]); // a key that does not fit, for as long as the other file takes
  const misfit = /is not read anew: the private key in .+ is not that of .+; the old one stays/;
  await until(() => misfit.test(serve.err), () => serve.err);
  expect(await ask("/check/alice", first)).toBe(200);
  // Nobody processes: this waits for as long as it may, 5 s, and so through the change.
  const waiting = ask(`/check/alice?after=${position}`, first);
  copy("second", ["key"]);
  const changing = /CERT|VERIFY|ISSUER|ECONNRESET/; // one that is being made then may be reset
  await until(
    async () => (await ask("/check/alice", second, changing)) === 200,
    () => serve.err,
  );
  expect(await ask("/check/alice", first)).toBeNull();
  expect(await waiting).toBe(504);

  writeFileSync(join(folder.path, "own.crt"), "no certificate");
  await until(() => /holds no certificate/.test(serve.err), () => serve.err);
  expect(await ask("/check/alice", second)).toBe(200);
  expect((await serve.stop()).code).toBe(0);
}, TEST_MS);
