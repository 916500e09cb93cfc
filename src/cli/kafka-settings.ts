/**
 * How to reach a Kafka cluster: the settings, and what they come to together.
 *
 *   --brokers, --prefix, --tls, --sasl ──> values ──files read, combinations checked──> access
 *
 * A secret is never shown: a message names where it was found, not what it is.
 */

import { isIPv6 } from "node:net";
import { certificateIn, certificatePair, textOf } from "./pem-files.ts";
import { pathSetting, type SettingTable, switchSetting } from "./setting.ts";
import { UsageError } from "./usage-error.ts";

const MECHANISMS = ["plain", "scram-sha-256", "scram-sha-512"] as const;
type Mechanism = (typeof MECHANISMS)[number];

/** What a log on a cluster must know of it; files are read, and hold what they should. */
export interface KafkaSettings {
  /** `host:port`, at least one; IPv6 addresses in brackets. */
  readonly brokers: readonly string[];
  /** Before the names of topics, groups and ids in the cluster; empty: none. */
  readonly prefix: string;
  /** Shown in the brokers' logs. */
  readonly clientId: string;
  /** PEM texts. Null: no TLS. Without `ca` the system's authorities are trusted. */
  readonly tls: { readonly ca?: string; readonly cert?: string; readonly key?: string } | null;
  /** Null: no SASL. */
  readonly sasl: {
    readonly mechanism: Mechanism;
    readonly username: string;
    readonly password: string;
  } | null;
}

/** As they are said. Paths are absolute. */
export interface KafkaValues {
  readonly brokers: readonly string[] | null;
  readonly prefix: string;
  readonly tls: boolean;
  readonly tlsCa: string | null;
  readonly tlsCert: string | null;
  readonly tlsKey: string | null;
  readonly sasl: Mechanism | null;
  readonly saslUsername: string | null;
  readonly saslPassword: string | null;
  readonly saslPasswordFile: string | null;
}

export interface SaidKafkaValues {
  readonly values: KafkaValues;
  /** "--tls", "DEPOSITAJA_TLS in config.env"; null where nobody says it. */
  readonly sourceOf: (name: keyof KafkaValues) => string | null;
}

/** Kafka's own. */
const DEFAULT_BROKER_PORT = 9_092;
const MAX_PORT = 65_535;
/** With it a topic's name stays far below Kafka's 249 characters. */
const MAX_PREFIX_CHARACTERS = 40;
const PROGRAM = "depositaja";

export const KAFKA_SETTINGS: SettingTable<KafkaValues> = {
  brokers: {
    flag: "--brokers",
    variable: "DEPOSITAJA_BROKERS",
    fileKey: "BROKER",
    parse: parseBrokers,
    wanted: "host:port,... such as kafka1:9092,kafka2:9092 (an IPv6 address in brackets)",
    fallback: null,
  },
  prefix: {
    flag: "--prefix",
    variable: "DEPOSITAJA_PREFIX",
    // A letter or digit: "." and ".." are no names of folders, which are named for it.
    parse: (text) => {
      const isOne = /^(?=.*[a-zA-Z0-9])[a-zA-Z0-9._-]+$/.test(text);
      return text === "" || (isOne && text.length <= MAX_PREFIX_CHARACTERS) ? text : null;
    },
    wanted:
      `at most ${MAX_PREFIX_CHARACTERS} characters of a-z, A-Z, 0-9, ".", "_" and "-", a letter ` +
      "or digit among them",
    fallback: "",
  },
  tls: switchSetting("--tls", "DEPOSITAJA_TLS"),
  tlsCa: pathSetting("--tls-ca", "DEPOSITAJA_TLS_CA"),
  tlsCert: pathSetting("--tls-cert", "DEPOSITAJA_TLS_CERT"),
  tlsKey: pathSetting("--tls-key", "DEPOSITAJA_TLS_KEY"),
  sasl: {
    flag: "--sasl",
    variable: "DEPOSITAJA_SASL",
    parse: (text) => MECHANISMS.find((mechanism) => mechanism === text.toLowerCase()) ?? null,
    wanted: MECHANISMS.join(", ").replace(/, (?=[^,]+$)/, " or "),
    fallback: null,
  },
  saslUsername: {
    flag: "--sasl-username",
    variable: "DEPOSITAJA_SASL_USERNAME",
    parse: (text) => text || null,
    wanted: "a name",
    fallback: null,
  },
  saslPassword: {
    flag: null,
    variable: "DEPOSITAJA_SASL_PASSWORD",
    parse: (text) => text || null,
    wanted: "a password",
    fallback: null,
    isSecret: true,
  },
  saslPasswordFile: pathSetting("--sasl-password-file", "DEPOSITAJA_SASL_PASSWORD_FILE"),
};

/** Null without brokers. Throws UsageError for what does not go together, and for files. */
export function kafkaSettingsOf(said: SaidKafkaValues): KafkaSettings | null {
  const { brokers, prefix } = said.values;
  if (brokers !== null) {
    const clientId = `${prefix}${PROGRAM}`;
    return { brokers, prefix, clientId, tls: tlsOf(said), sasl: saslOf(said) };
  }
  for (const name of Object.keys(KAFKA_SETTINGS) as (keyof KafkaValues)[]) {
    if (said.values[name] === KAFKA_SETTINGS[name].fallback) continue;
    throw new UsageError(
      `${said.sourceOf(name)} is for a Kafka cluster: name its brokers with --brokers, or leave ` +
        "it out",
    );
  }
  return null;
}

/** What an operator should know of it; sentences for stderr. */
export function kafkaNotes({ brokers, tls, sasl }: KafkaSettings): string[] {
  const isLocal = brokers.every((broker) => /^(localhost|127(\.\d+){3}|\[::1\]):/.test(broker));
  if (sasl?.mechanism !== "plain" || tls !== null || isLocal) return [];
  return ["--sasl plain without --tls sends the password over the network as it is"];
}

function tlsOf({ values, sourceOf }: SaidKafkaValues): KafkaSettings["tls"] {
  const { tls, tlsCa, tlsCert, tlsKey } = values;
  if (!tls) {
    const source = sourceOf("tlsCa") ?? sourceOf("tlsCert") ?? sourceOf("tlsKey");
    if (source === null) return null;
    throw new UsageError(`${source} is for TLS: add --tls (or DEPOSITAJA_TLS=true)`);
  }
  if ((tlsCert === null) !== (tlsKey === null)) {
    const [source, other] =
      tlsKey === null
        ? [sourceOf("tlsCert"), "the certificate's private key with --tls-key"]
        : [sourceOf("tlsKey"), "the key's certificate with --tls-cert"];
    throw new UsageError(`${source} is half of a client's certificate: name ${other}`);
  }
  const ca = tlsCa === null ? null : certificateIn({ path: tlsCa, source: sourceOf("tlsCa") });
  if (tlsCert === null || tlsKey === null) return ca === null ? {} : { ca };
  const pair = certificatePair(
    { path: tlsCert, source: sourceOf("tlsCert") },
    { path: tlsKey, source: sourceOf("tlsKey") },
  );
  return { ...(ca === null ? {} : { ca }), ...pair };
}

function saslOf({ values, sourceOf }: SaidKafkaValues): KafkaSettings["sasl"] {
  const { sasl, saslUsername, saslPassword, saslPasswordFile } = values;
  if (sasl === null) {
    const names = ["saslUsername", "saslPassword", "saslPasswordFile"] as const;
    const source = names.map(sourceOf).find((each) => each !== null);
    if (source === undefined) return null;
    const how = KAFKA_SETTINGS.sasl.wanted;
    throw new UsageError(`${source} is for SASL: say which with --sasl, ${how}`);
  }
  const source = sourceOf("sasl");
  if (saslUsername === null) {
    throw new UsageError(`${source} needs a user: name it with --sasl-username`);
  }
  if (saslPassword !== null && saslPasswordFile !== null) {
    const sources = `${sourceOf("saslPassword")} and ${sourceOf("saslPasswordFile")}`;
    throw new UsageError(`the password is said twice, by ${sources}: leave one of them out`);
  }
  const password =
    saslPassword ??
    (saslPasswordFile === null
      ? null
      : passwordIn(saslPasswordFile, sourceOf("saslPasswordFile")));
  if (password !== null) return { mechanism: sasl, username: saslUsername, password };
  throw new UsageError(
    `${source} needs a password: set DEPOSITAJA_SASL_PASSWORD in the environment or in the ` +
      "settings file, or name a file that holds it with --sasl-password-file",
  );
}

function parseBrokers(text: string): readonly string[] | null {
  const brokers = text.split(",").map((broker) => parseBroker(broker.trim()));
  return brokers.every((broker) => broker !== null) ? [...new Set(brokers)] : null;
}

function parseBroker(text: string): string | null {
  const [, host = "", port = String(DEFAULT_BROKER_PORT)] =
    /^(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const isHost = host.startsWith("[")
    ? isIPv6(host.slice(1, -1))
    : /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\.?$/.test(host);
  const isPort = Number(port) >= 1 && Number(port) <= MAX_PORT;
  return isHost && isPort ? `${host}:${Number(port)}` : null;
}

function passwordIn(path: string, source: string | null): string {
  // An editor ends the last line; a password does not end so.
  const password = textOf({ path, source }).replace(/\r?\n$/, "");
  if (password !== "") return password;
  throw new UsageError(`${source}: ${path} is empty: write the password there`);
}
