/**
 * Certificates that a test makes for itself: a CA, a broker's and a client's, and a CA that
 * nobody trusts.
 *
 *   openssl ──> PEM files in a folder
 */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { BrokerTls } from "./broker-settings.ts";

export interface Certificates {
  readonly broker: BrokerTls;
  /** PEM texts, as Node's tls.connect takes them. */
  readonly client: { readonly ca: string; readonly cert: string; readonly key: string };
  /** Paths of the same, as a command's flags take them. */
  readonly clientPaths: { readonly ca: string; readonly cert: string; readonly key: string };
  /** A client certificate of a CA that the brokers do not trust, and that CA. */
  readonly untrusted: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** Valid for a day, for 127.0.0.1 and localhost. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  await mkdir(folder, { recursive: true });
  await Promise.all([makeAuthority(folder, "ca"), makeAuthority(folder, "other-ca")]);
  await Promise.all([
    makeCertificate(folder, { name: "broker", authority: "ca" }),
    makeCertificate(folder, { name: "client", authority: "ca" }),
    makeCertificate(folder, { name: "stranger", authority: "other-ca" }),
  ]);
  const text = (name: string) => readFile(join(folder, name), "utf8");
  const keyAndCertificatePath = join(folder, "broker.pem");
  await writeFile(
    keyAndCertificatePath,
    (await text("broker.key")) + (await text("broker.crt")) + (await text("ca.crt")),
  );
  const path = (name: string) => join(folder, name);
  return {
    broker: { keyAndCertificatePath, caPath: path("ca.crt") },
    client: {
      ca: await text("ca.crt"),
      cert: await text("client.crt"),
      key: await text("client.key"),
    },
    clientPaths: { ca: path("ca.crt"), cert: path("client.crt"), key: path("client.key") },
    untrusted: {
      ca: await text("other-ca.crt"),
      cert: await text("stranger.crt"),
      key: await text("stranger.key"),
    },
  };
}

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
const DAYS = ["-days", "1"];

async function makeAuthority(folder: string, name: string): Promise<void> {
  await openssl(folder, ["req", "-x509", ...KEY, ...DAYS, "-subj", `/CN=${name}`].concat([
    "-keyout",
    `${name}.key`,
    "-out",
    `${name}.crt`,
  ]));
}

async function makeCertificate(
  folder: string,
  { name, authority }: { readonly name: string; readonly authority: string },
): Promise<void> {
  const request = ["req", ...KEY, "-subj", `/CN=${name}`, "-keyout", `${name}.key`];
  await openssl(folder, [...request, "-out", `${name}.csr`]);
  await writeFile(join(folder, `${name}.ext`), "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
  const signed = ["x509", "-req", "-in", `${name}.csr`, "-CA", `${authority}.crt`, "-CAkey"].concat(
    [`${authority}.key`, "-CAserial", `${name}.srl`, "-CAcreateserial", ...DAYS],
    ["-extfile", `${name}.ext`, "-out", `${name}.crt`],
  );
  await openssl(folder, signed);
}

async function openssl(folder: string, args: readonly string[]): Promise<void> {
  const child = Bun.spawn(["openssl", ...args], {
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const [code, complaints] = await Promise.all([child.exited, child.stderr.text()]);
  if (code !== 0) throw new Error(`openssl ${args[0]} failed:\n${complaints.trimEnd()}`);
}
