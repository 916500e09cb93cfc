/** A cluster that is reached by TLS and logins, and what is said when it is not. */

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { connect, createServer } from "node:net";
import { configureSync, type LogRecord, resetSync } from "@logtape/logtape";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { LogError } from "../../src/log/event-log.ts";
import type { KafkaAccess } from "../../src/log/kafka/connections.ts";
import { type KafkaLog, openKafkaLog } from "../../src/log/kafka/kafka-log.ts";
import { Running, run, temporaryFolder } from "../end-to-end/program.ts";
import type { ListenerName } from "./broker-settings.ts";
import { freshPrefix } from "./broker.ts";
import type { Certificates } from "./certificates.ts";
import { missingForBroker } from "./java.ts";
import { KafkaCluster } from "./kafka-cluster.ts";

/** The doors of the cluster that is pointed to are not known: these start a broker of their own. */
const missing = await missingForBroker();
const CLUSTER_MS = 120_000;
const CASE_MS = 30_000;
/** What an operator waits for. */
const WITHIN_MS = 10_000;
/** In that time, when it is not certain that another try is of no use. */
const MAX_ATTEMPTS = 15;

const PASSWORD = "wonder-4b1f";
const WRONG_PASSWORD = "winter-9c2e";
const MECHANISMS = ["plain", "scram-sha-256", "scram-sha-512"] as const;
type Mechanism = (typeof MECHANISMS)[number];

const prefix = freshPrefix();
const records: LogRecord[] = [];
let hasLogged = false;
let cluster: KafkaCluster | null = null;

beforeAll(async () => {
  if (missing !== null) return;
  configureSync({
    sinks: { kept: (record) => records.push(record) },
    loggers: [{ category: [], lowestLevel: "debug", sinks: ["kept"] }],
    reset: true,
  });
  cluster = await KafkaCluster.start({
    listeners: ["SASL_PLAINTEXT", "SSL", "SASL_SSL"],
    users: { alice: PASSWORD },
    // One door knows less, so that a mechanism can be asked for in vain.
    settings: { "listener.name.sasl_plaintext.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256" },
  });
}, CLUSTER_MS);

afterAll(async () => {
  await cluster?.close();
  if (missing === null) resetSync();
});

function running(): KafkaCluster & { readonly certificates: Certificates } {
  if (cluster?.certificates == null) throw new Error("no cluster with certificates runs");
  return cluster as KafkaCluster & { readonly certificates: Certificates };
}

function open(brokers: string, access: Partial<KafkaAccess>): Promise<KafkaLog> {
  return openKafkaLog({
    brokers: brokers.split(","),
    clientId: "test",
    tls: null,
    sasl: null,
    prefix,
    create: true,
    defaults: {},
    settings: {},
    nowMs: Date.now,
    ...access,
  });
}

function alice(mechanism: Mechanism, password = PASSWORD): Partial<KafkaAccess> {
  return { sasl: { mechanism, username: "alice", password } };
}

/** What an attempt comes to, through a door that counts who comes. */
async function attempt(
  door: ListenerName,
  access: Partial<KafkaAccess>,
  hosts: readonly string[] = ["127.0.0.1"],
) {
  const [host = ""] = hosts;
  let attempts = 0;
  const port = Number(running().addresses(door).split(":")[1]);
  const server = createServer((client) => {
    attempts += 1;
    const broker = connect({ host: "127.0.0.1", port });
    for (const [from, to] of [[client, broker], [broker, client]] as const) {
      from.on("error", () => to.destroy());
      from.pipe(to);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, host, () => resolve()));
  const startMs = performance.now();
  try {
    const { port: own } = server.address() as { port: number };
    const log = await open(hosts.map((name) => `${name}:${own}`).join(","), access);
    await log.close();
    throw new Error("it was let in");
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    return { error, attempts, tookMs: performance.now() - startMs };
  } finally {
    server.close();
  }
}

describe("a cluster lets in who has its key", () => {
  const doors: [string, ListenerName, () => Partial<KafkaAccess>][] = [
    ...(["plain", "scram-sha-256"] as const).map(
      (mechanism): [string, ListenerName, () => Partial<KafkaAccess>] => [
        `a login by ${mechanism}`,
        "SASL_PLAINTEXT",
        () => alice(mechanism),
      ],
    ),
    ...MECHANISMS.map((mechanism): [string, ListenerName, () => Partial<KafkaAccess>] => [
      `a login by ${mechanism} over TLS`,
      "SASL_SSL",
      () => ({ ...alice(mechanism), tls: { ca: running().certificates.client.ca } }),
    ]),
    ["a client's certificate", "SSL", () => ({ tls: running().certificates.client })],
  ];
  // Skipped: without Java 17 and Maven no broker can be started.
  test.skipIf(missing !== null).each(doors)("%s", async (_, door, access) => {
    const log = await open(running().addresses(door), access());
    try {
      const topic = "words";
      await log.ensureTopics([{ name: topic, partitions: 1, cleanup: "keep", retentionMs: null }]);
      const key = new Uint8Array([1]);
      const [offset] = await log.append([{ topic, partition: 0, key, value: key }]);
      for await (const [record] of log.read({ topic, partition: 0, from: offset ?? 0n })) {
        expect(record?.key).toEqual(key);
        break;
      }
    } finally {
      await log.close();
    }
  }, CASE_MS);
});

interface Refusal {
  readonly what: string;
  readonly door: ListenerName;
  readonly access: () => Partial<KafkaAccess>;
  readonly code: "unusable_place" | "unavailable";
  readonly says: string;
}

const REFUSALS: readonly Refusal[] = [
  ...MECHANISMS.map((mechanism): Refusal => ({
    what: `a wrong password by ${mechanism}`,
    door: "SASL_SSL",
    access: () => ({
      ...alice(mechanism, WRONG_PASSWORD),
      tls: { ca: running().certificates.client.ca },
    }),
    code: "unusable_place",
    says:
      `refuses the login of alice (SASL ${mechanism.toUpperCase()}): check --sasl-username and ` +
      "the password, and that the user has one for this mechanism",
  })),
  {
    what: "an unknown user",
    door: "SASL_PLAINTEXT",
    access: () => ({
      sasl: { mechanism: "scram-sha-256", username: "nobody", password: PASSWORD },
    }),
    code: "unusable_place",
    says: "refuses the login of nobody (SASL SCRAM-SHA-256): check --sasl-username",
  },
  {
    what: "a mechanism that the brokers do not know",
    door: "SASL_PLAINTEXT",
    access: () => alice("scram-sha-512"),
    code: "unusable_place",
    says: "does not know SASL SCRAM-SHA-512: choose another --sasl, or enable it at the brokers",
  },
  {
    what: "a login where none is wanted",
    door: "PLAINTEXT",
    access: () => alice("plain"),
    code: "unusable_place",
    says: "wants no login at this port: leave --sasl out, or name the port for SASL",
  },
  {
    what: "no login where one is wanted",
    door: "SASL_PLAINTEXT",
    access: () => ({}),
    code: "unavailable",
    says: "a broker that answers first and closes then wants a login: add --sasl",
  },
  {
    what: "a certificate of another authority",
    door: "SASL_SSL",
    access: () => ({ ...alice("plain"), tls: { ca: running().certificates.untrusted.ca } }),
    code: "unusable_place",
    says: "has a certificate of no authority that in the file of --tls-ca",
  },
  {
    what: "a certificate of an authority that the system does not know",
    door: "SASL_SSL",
    access: () => ({ ...alice("plain"), tls: {} }),
    code: "unusable_place",
    says: "has a certificate of no authority that the system trusts",
  },
  {
    what: "no client's certificate",
    door: "SSL",
    access: () => ({ tls: { ca: running().certificates.client.ca } }),
    code: "unusable_place",
    says: "demands a client's certificate: name it with --tls-cert and --tls-key",
  },
  {
    what: "a client's certificate of another authority",
    door: "SSL",
    access: () => {
      const { client, untrusted } = running().certificates;
      return { tls: { ...untrusted, ca: client.ca } };
    },
    code: "unusable_place",
    says: "does not accept the client's certificate in the file of --tls-cert",
  },
  {
    what: "TLS at a port without",
    door: "PLAINTEXT",
    access: () => ({ tls: running().certificates.client }),
    code: "unavailable",
    says: "its port speaks without TLS: leave --tls out, or name the port for TLS",
  },
  {
    what: "no TLS at a port with it",
    door: "SASL_SSL",
    access: () => alice("plain"),
    code: "unusable_place",
    says: "speaks TLS at this port: add --tls, or name the port without",
  },
];

describe("who is not let in is told what to check, at once and without a secret", () => {
  const isWaitedFor = ({ code }: Refusal) => code === "unavailable";
  // Skipped: without Java 17 and Maven no broker can be started.
  test.skipIf(missing !== null).each(REFUSALS.filter((each) => !isWaitedFor(each)))(
    "$what",
    isTold,
    CASE_MS,
  );
  // These take the time of tries that might have been of use: side by side.
  // Skipped: without Java 17 and Maven no broker can be started.
  test.concurrent.skipIf(missing !== null).each(REFUSALS.filter(isWaitedFor))(
    "$what",
    isTold,
    CASE_MS,
  );

  // Skipped: without Java 17 and Maven no broker can be started.
  test.skipIf(missing !== null)(
    "a wrong password, at each broker once at most, and nowhere twice",
    async () => {
      const hosts = ["127.0.0.1", "localhost"];
      const wrong = alice("plain", WRONG_PASSWORD);
      const { error, attempts } = await attempt("SASL_PLAINTEXT", wrong, hosts);
      expect(error.message).toContain("refuses the login of alice");
      expect(attempts).toBeLessThanOrEqual(hosts.length);
    },
    CASE_MS,
  );

  // Skipped: without Java 17 and Maven no broker can be started.
  test.skipIf(missing !== null)("of what was logged meanwhile nothing went unread", () => {
    expect(hasLogged).toBe(true);
  });

  // Skipped: without Java 17 and Maven no broker can be started, and only Linux has 127.0.0.2.
  test.skipIf(missing !== null || process.platform !== "linux")(
    "a certificate for another name",
    async () => {
      const access = { ...alice("plain"), tls: { ca: running().certificates.client.ca } };
      const { error, attempts } = await attempt("SASL_SSL", access, ["127.0.0.2"]);
      expect(error.code).toBe("unusable_place");
      expect(error.message).toContain("has a certificate for another name");
      expect(attempts).toBe(1);
    },
    CASE_MS,
  );
});

async function isTold({ door, access, code, says }: Refusal): Promise<void> {
  const before = records.length;
  const { error, attempts, tookMs } = await attempt(door, access());
  expect(error.message).toContain(says);
  expect(error.code).toBe(code);
  expect(tookMs).toBeLessThan(WITHIN_MS);
  if (code === "unusable_place") expect(attempts).toBe(1);
  else expect(attempts).toBeLessThan(MAX_ATTEMPTS);
  const said = records.slice(before);
  hasLogged ||= said.length > 0;
  const told = Bun.inspect({ error, said }, { depth: 20 }) + JSON.stringify(said);
  for (const secret of [PASSWORD, WRONG_PASSWORD, running().certificates.client.key]) {
    expect(told).not.toContain(secret);
    expect(told).not.toContain(Buffer.from(secret).toString("base64"));
  }
}

describe("commands", () => {
  const said = (mechanism: Mechanism) =>
    [
      `BROKER=${running().addresses("SASL_SSL")}`,
      "DEPOSITAJA_TLS=true",
      `DEPOSITAJA_TLS_CA=${running().certificates.clientPaths.ca}`,
      `DEPOSITAJA_SASL=${mechanism}`,
      "DEPOSITAJA_SASL_USERNAME=alice\n",
    ].join("\n");

  /** Without a file of settings: by a certificate through one door, by a login through another. */
  const doors = (folder: string): [ListenerName, Record<string, string>][] => {
    const { ca, cert, key } = running().certificates.clientPaths;
    const password = join(folder, "password");
    writeFileSync(password, `${PASSWORD}\n`);
    const login = { "--sasl": "scram-sha-512", "--sasl-username": "alice" };
    return [
      ["SSL", { "--tls-ca": ca, "--tls-cert": cert, "--tls-key": key }],
      ["SASL_SSL", { "--tls-ca": ca, ...login, "--sasl-password-file": password }],
    ];
  };
  const checkTyped = async (name: string) => {
    using folder = temporaryFolder();
    for (const [door, settings] of doors(folder.path)) {
      const place = ["--brokers", running().addresses(door), "--prefix", `${name}-`, "--tls"];
      const all = [...place, ...Object.entries(settings).flat()];
      const { out, err } = await run({ folder: folder.path }, "check", "alice", "--json", ...all);
      expect({ door, err }).toEqual({ door, err: "" });
      expect(JSON.parse(out)).toMatchObject({ balance: "5.00" });
    }
  };
  const checkInEnvironment = async (name: string) => {
    using folder = temporaryFolder();
    const variable = (option: string) =>
      `DEPOSITAJA_${option.slice("--".length).toUpperCase().replaceAll("-", "_")}`;
    for (const [door, settings] of doors(folder.path)) {
      const environment = {
        DEPOSITAJA_BROKERS: running().addresses(door),
        DEPOSITAJA_PREFIX: `${name}-`,
        DEPOSITAJA_TLS: "true",
        ...Object.fromEntries(
          Object.entries(settings).map(([option, value]) => [variable(option), value]),
        ),
      };
      const at = { folder: folder.path, environment };
      const { out, err } = await run(at, "check", "alice", "--json");
      expect({ door, err }).toEqual({ door, err: "" });
      expect(JSON.parse(out)).toMatchObject({ balance: "5.00" });
    }
  };

  const services: [string, string[], number][] = [
    ["process", ["process", "--all"], 1],
    ["up", ["up", "--port", "0"], 2], // its two threads have one each
  ];
  // Skipped: without Java 17 and Maven no broker can be started.
  test.skipIf(missing !== null).each(services)(
    "work on it by their settings beside `%s`, each in its place",
    async (name, service, places) => {
      using folder = temporaryFolder();
      const options = { folder: folder.path };
      const settings =
        `${said("scram-sha-512")}DEPOSITAJA_PREFIX=${name}-\n` +
        "DEPOSITAJA_SASL_PASSWORD_FILE=password\n";
      writeFileSync(join(folder.path, "config.env"), settings);
      writeFileSync(join(folder.path, "password"), `${PASSWORD}\n`);
      await using program = new Running(options, ...service, "--partitions", "1");
      await program.says(/^process(ing|ors) /m);
      const made = `^data +Kafka at 127\\.0\\.0\\.1:\\d+, prefix ${name}- \\(created, 1 partitions`;
      expect(program.out).toMatch(new RegExp(made, "m"));
      const deposited = await run(options, "deposit", "alice", "5", "--id", "a");
      expect(deposited).toMatchObject({ code: 0, out: "deposited as 0-0: 5.00 into alice\n" });
      const checked = await run(options, "check", "alice", "--json");
      expect(JSON.parse(checked.out)).toMatchObject({ balance: "5.00" });
      const [clusterId = ""] = readdirSync(join(folder.path, "depositaja-data/kafka"));
      const taken = join(folder.path, "depositaja-data/kafka", clusterId, `${name}-`);
      // The commands came one after the other, and the second found the first one's place free.
      expect(readdirSync(taken)).toHaveLength(places + 1);
      const hasMembers = (place: number) => existsSync(join(taken, `${place}/members.json`));
      expect(hasMembers(places - 1)).toBe(true);
      expect(hasMembers(places)).toBe(false);
      if (name === "up") await checkTyped(name);
      else await checkInEnvironment(name);
    },
    CLUSTER_MS,
  );

  // Skipped: without Java 17 and Maven no broker can be started.
  test.skipIf(missing !== null)("say why they are not let in, and no secret", async () => {
    using folder = temporaryFolder();
    writeFileSync(join(folder.path, "config.env"), said("scram-sha-256"));
    const told = { DEPOSITAJA_LOG_LEVEL: "debug" };
    const environment = { DEPOSITAJA_SASL_PASSWORD: WRONG_PASSWORD, ...told };
    const options = { folder: folder.path, environment };
    for (const command of [["check", "alice"], ["process", "--all"], ["serve", "--port", "0"]]) {
      const { code, err } = await run(options, ...command);
      expect(err).toContain('"level":"DEBUG"');
      expect(err).toContain("error: the cluster at 127.0.0.1:");
      expect(err).toContain("refuses the login of alice (SASL SCRAM-SHA-256): check");
      expect(err).not.toContain(WRONG_PASSWORD);
      expect(code).toBe(1);
    }
  }, CLUSTER_MS);
});
