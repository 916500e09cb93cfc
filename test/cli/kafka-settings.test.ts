import { describe, expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSettings, type SettingsSources } from "../../src/cli/settings.ts";
import { temporaryFolder } from "../end-to-end/program.ts";

const SECRET = "open sesame";
/** Of nobody, and it ends some day: it is parsed, not trusted. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBdDCCARmgAwIBAgIUICrwHpfiEILEHXEDiBS8raRAhwMwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjExNjM5NDVaFw0zNjExMTgxNjM5NDVa
MA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASdVGZ5
YrWJOCridkZu3x3vixKB2qfdsWiS7ajH6lpX95oYn9tLjfDuFW4kq6E9I4kxQ3Uk
vNG/MDS1w/1AUXrzo1MwUTAdBgNVHQ4EFgQUqFD/11gwN5kZAryxbOLHGtTqr4Aw
HwYDVR0jBBgwFoAUqFD/11gwN5kZAryxbOLHGtTqr4AwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNJADBGAiEA1Gpf22PXkPRHi5BccKfTuSHQs7ccjqTRTUR8
e4ShrY8CIQDD5mBgGr1biTqq9rNEijpCHA++iPsgttnSFAI8MPKvRw==
-----END CERTIFICATE-----
`;
const { privateKey: key } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const PEM = { type: "pkcs8", format: "pem" } as const;
const ENCRYPTED = { ...PEM, cipher: "aes-256-cbc", passphrase: SECRET } as const;
const FILES: Readonly<Record<string, string>> = {
  "ca.pem": CERTIFICATE,
  "client.key": key.export(PEM),
  "locked.key": key.export(ENCRYPTED),
  "garbled.pem": CERTIFICATE.replace("MIIB", "!!!!"),
  "not.pem": `this is no PEM text: ${SECRET}`,
  password: `${SECRET}\n`,
  empty: "\n",
};

type Said = Pick<Partial<SettingsSources>, "flags" | "environment"> & { readonly file?: string };

/** What comes of it, with the folder's path shortened; the message when it is refused. */
function read({ flags = {}, environment = {}, file }: Said) {
  using folder = temporaryFolder();
  const files = file === undefined ? FILES : { ...FILES, "config.env": file };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder.path, name), text);
  const shorten = (text: string) => text.replaceAll(`${folder.path}/`, "");
  try {
    const { settings, notes } = readSettings([], { flags, environment, folder: folder.path });
    return { kafka: settings.kafka, notes: notes.map(shorten), refused: null };
  } catch (error) {
    expect((error as Error).name).toBe("UsageError");
    return { kafka: null, notes: [], refused: shorten((error as Error).message) };
  }
}

const PASSWORD_LINE = `DEPOSITAJA_SASL_PASSWORD='${SECRET}'`;
const ON_CLUSTER = { brokers: "kafka:9092" };
const LOGIN = { ...ON_CLUSTER, tls: true, sasl: "plain", saslUsername: "ann" } as const;
const PASSWORD = { DEPOSITAJA_SASL_PASSWORD: SECRET };
const ACCESS = {
  brokers: ["kafka:9092"],
  prefix: "",
  clientId: "depositaja",
  tls: null,
  sasl: null,
} as const;

describe("a cluster", () => {
  const right: [string, Said, object | null][] = [
    ["nothing: the log is embedded", {}, null],
    ["brokers", { flags: ON_CLUSTER }, ACCESS],
    ["DEPOSITAJA_BROKERS", { environment: { DEPOSITAJA_BROKERS: "kafka:9092" } }, ACCESS],
    ["BROKER in the file", { file: "BROKER=kafka:9092" }, ACCESS],
    ["a flag over the file", { flags: ON_CLUSTER, file: "BROKER=other:1" }, ACCESS],
    ["a host alone, on Kafka's port", { flags: { brokers: "kafka" } }, ACCESS],
    [
      "several, some twice",
      { flags: { brokers: "a:1, b.example.org:2,192.0.2.7,[2001:db8::1]:4,[::1],a:1,kafka_1" } },
      {
        ...ACCESS,
        brokers: ["a:1", "b.example.org:2", "192.0.2.7:9092"].concat(
          ["[2001:db8::1]:4", "[::1]:9092", "kafka_1:9092"],
        ),
      },
    ],
    [
      "a prefix",
      { flags: { ...ON_CLUSTER, prefix: "test-1." } },
      { ...ACCESS, prefix: "test-1.", clientId: "test-1.depositaja" },
    ],
    ["a prefix said to be none", { flags: ON_CLUSTER, file: "DEPOSITAJA_PREFIX=" }, ACCESS],
    ["TLS", { flags: { ...ON_CLUSTER, tls: true } }, { ...ACCESS, tls: {} }],
    [
      "TLS of the environment",
      { flags: ON_CLUSTER, environment: { DEPOSITAJA_TLS: "true" } },
      { ...ACCESS, tls: {} },
    ],
    ["TLS said to be off", { environment: { DEPOSITAJA_TLS: "false" } }, null],
    [
      "an authority",
      { flags: { ...ON_CLUSTER, tls: true, tlsCa: "ca.pem" } },
      { ...ACCESS, tls: { ca: CERTIFICATE } },
    ],
    [
      "a login, its password in the environment",
      { flags: LOGIN, environment: PASSWORD },
      { ...ACCESS, tls: {}, sasl: { mechanism: "plain", username: "ann", password: SECRET } },
    ],
    [
      "a login, its password in a file of its own",
      { flags: { ...LOGIN, sasl: "SCRAM-SHA-512", saslPasswordFile: "password" } },
      {
        ...ACCESS,
        tls: {},
        sasl: { mechanism: "scram-sha-512", username: "ann", password: SECRET },
      },
    ],
    [
      "all of it in the settings file",
      {
        file:
          "BROKER=kafka\nDEPOSITAJA_PREFIX=p-\nDEPOSITAJA_TLS=1\nDEPOSITAJA_TLS_CA=ca.pem\n" +
          "DEPOSITAJA_SASL=scram-sha-256\nDEPOSITAJA_SASL_USERNAME=ann\n" +
          `DEPOSITAJA_SASL_PASSWORD='${SECRET}'\n`,
      },
      {
        brokers: ["kafka:9092"],
        prefix: "p-",
        clientId: "p-depositaja",
        tls: { ca: CERTIFICATE },
        sasl: { mechanism: "scram-sha-256", username: "ann", password: SECRET },
      },
    ],
  ];
  test.each(right)("is reached by %s", (_, said, kafka) => {
    expect(read(said)).toMatchObject({ kafka, refused: null });
  });

  const brokers = "it must be host:port,... such as kafka1:9092,kafka2:9092 (an IPv6 address in";
  const wrong: [string, Said, string][] = [
    ...["", "a:0", "a:65536", "a:b", "a:1,", "a:1;b:1", "http://a:1", "::1", "[a]:1", "-a"].map(
      (text): [string, Said, string] => [
        `brokers "${text}"`,
        { flags: { brokers: text } },
        `--brokers is "${text}": ${brokers}`,
      ],
    ),
    [
      "brokers of the file",
      { file: "BROKER=a:x" },
      `BROKER in config.env is "a:x": ${brokers}`,
    ],
    ...["a/b", "é", "..", "_", "-.", "a".repeat(41)].map((text): [string, Said, string] => [
      `prefix ${text}`,
      { flags: { ...ON_CLUSTER, prefix: text } },
      `--prefix is "${text}": it must be at most 40 characters of`,
    ]),
    [
      "a prefix without a cluster",
      { flags: { prefix: "a" } },
      "--prefix is for a Kafka cluster: name its brokers with --brokers, or leave it out",
    ],
    [
      "a password without a cluster",
      { environment: PASSWORD },
      "DEPOSITAJA_SASL_PASSWORD is for a Kafka cluster: name its brokers with --brokers",
    ],
    ["TLS without a cluster", { file: "DEPOSITAJA_TLS=1" }, "DEPOSITAJA_TLS in config.env is for"],
    [
      "TLS that is neither on nor off",
      { flags: ON_CLUSTER, environment: { DEPOSITAJA_TLS: "maybe" } },
      'DEPOSITAJA_TLS is "maybe": it must be true or false',
    ],
    [
      "an authority without TLS",
      { flags: { ...ON_CLUSTER, tlsCa: "ca.pem" } },
      "--tls-ca is for TLS: add --tls (or DEPOSITAJA_TLS=true)",
    ],
    [
      "a certificate without its key",
      { flags: { ...ON_CLUSTER, tls: true, tlsCert: "ca.pem" } },
      "--tls-cert is half of a client's certificate: name the certificate's private key with",
    ],
    [
      "a key without its certificate",
      { flags: { ...ON_CLUSTER, tls: true }, environment: { DEPOSITAJA_TLS_KEY: "client.key" } },
      "DEPOSITAJA_TLS_KEY is half of a client's certificate: name the key's certificate with",
    ],
    [
      "a key of another certificate",
      { flags: { ...ON_CLUSTER, tls: true, tlsCert: "ca.pem", tlsKey: "client.key" } },
      "the private key in client.key is not that of ca.pem",
    ],
    [
      "a key with a passphrase",
      { flags: { ...ON_CLUSTER, tls: true, tlsCert: "ca.pem", tlsKey: "locked.key" } },
      "the private key in locked.key is encrypted, and there is no way to say its passphrase",
    ],
    [
      "a key that is none",
      { flags: { ...ON_CLUSTER, tls: true, tlsCert: "ca.pem", tlsKey: "not.pem" } },
      "--tls-key: not.pem holds no private key: it must be PEM text",
    ],
    ...["not.pem", "client.key", "garbled.pem", "empty"].map((name): [string, Said, string] => [
      `an authority in ${name}`,
      { flags: { ...ON_CLUSTER, tls: true, tlsCa: name } },
      `--tls-ca: ${name} holds no certificate: it must be PEM text`,
    ]),
    [
      "a file that is not there",
      { flags: { ...ON_CLUSTER, tls: true, tlsCa: "no.pem" } },
      "--tls-ca: no.pem cannot be read: it is not there",
    ],
    [
      "a mechanism that is none of these",
      { flags: { ...LOGIN, sasl: "gssapi" }, environment: PASSWORD },
      '--sasl is "gssapi": it must be plain, scram-sha-256 or scram-sha-512',
    ],
    [
      "a user without a mechanism",
      { flags: { ...ON_CLUSTER, saslUsername: "ann" } },
      "--sasl-username is for SASL: say which with --sasl, plain, scram-sha-256 or scram-sha-512",
    ],
    [
      "a password without a mechanism",
      { flags: ON_CLUSTER, environment: PASSWORD },
      "DEPOSITAJA_SASL_PASSWORD is for SASL: say which with --sasl",
    ],
    [
      "a login without a user",
      { flags: { ...ON_CLUSTER, sasl: "plain" }, environment: PASSWORD },
      "--sasl needs a user: name it with --sasl-username",
    ],
    [
      "a login without a password",
      { flags: LOGIN },
      "--sasl needs a password: set DEPOSITAJA_SASL_PASSWORD in the environment or in the",
    ],
    [
      "a password said twice",
      { flags: { ...LOGIN, saslPasswordFile: "password" }, environment: PASSWORD },
      "the password is said twice, by DEPOSITAJA_SASL_PASSWORD and --sasl-password-file: leave",
    ],
    [
      "an empty password file",
      { flags: { ...LOGIN, saslPasswordFile: "empty" } },
      "--sasl-password-file: empty is empty: write the password there",
    ],
    [
      "a password file that is not there",
      { flags: { ...LOGIN, saslPasswordFile: "no" } },
      "--sasl-password-file: no cannot be read: it is not there",
    ],
  ];
  test.each(wrong)("is not reached by %s, and it is said what to do", (_, said, message) => {
    expect(read(said).refused).toContain(message);
  });
});

describe("a password is never shown", () => {
  test("where the settings that were read are", () => {
    const { notes } = read({
      file: `BROKER=[::1]\nDEPOSITAJA_SASL=plain\nDEPOSITAJA_SASL_USERNAME=ann\n${PASSWORD_LINE}`,
    });
    expect(notes).toEqual([
      "settings from config.env: BROKER=[::1] DEPOSITAJA_SASL=plain DEPOSITAJA_SASL_USERNAME=ann " +
        "DEPOSITAJA_SASL_PASSWORD=***",
    ]);
  });

  test.each([
    ["a line that is none", `DEPOSITAJA_SASL_PASSWORD: ${SECRET}`],
    ["quotes that do not match", `DEPOSITAJA_SASL_PASSWORD="${SECRET}`],
    ["a misspelt name", `DEPOSITAJA_SASL_PASWORD=${SECRET}`],
    ["a name twice", `DEPOSITAJA_SASL_PASSWORD=a\nDEPOSITAJA_SASL_PASSWORD=${SECRET}`],
    ["nothing but the password", `DEPOSITAJA_SASL_PASSWORD=${SECRET}`],
    ["an empty one", `DEPOSITAJA_SASL_PASSWORD=\nDEPOSITAJA_SASL=${SECRET.length}`],
  ])("by the message on %s", (_, file) => {
    const { refused } = read({ file });
    expect(refused).not.toBeNull();
    expect(refused).not.toContain(SECRET);
  });

  test("and one that would go over a network as it is, is pointed out", () => {
    const warning = "--sasl plain without --tls sends the password over the network as it is";
    const flags = { ...LOGIN, tls: "false" };
    expect(read({ flags, environment: PASSWORD }).notes).toEqual([warning]);
    const local = { ...flags, brokers: "localhost,127.0.0.1,[::1]" };
    expect(read({ flags: local, environment: PASSWORD }).notes).toEqual([]);
    const scram = { ...flags, sasl: "scram-sha-256" };
    expect(read({ flags: scram, environment: PASSWORD }).notes).toEqual([]);
    expect(read({ flags: LOGIN, environment: PASSWORD }).notes).toEqual([]);
  });
});
