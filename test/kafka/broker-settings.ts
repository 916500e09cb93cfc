/** A broker's server.properties, for tests and for `bun run kafka`. */

/** Which doors a broker has, besides PLAINTEXT. */
export type ListenerName = "PLAINTEXT" | "SASL_PLAINTEXT" | "SSL" | "SASL_SSL";

export interface BrokerSettings {
  readonly nodeId: number;
  /** Of every node, by its id less one. */
  readonly controllerPorts: readonly number[];
  readonly listeners: Readonly<Partial<Record<ListenerName, number>>>;
  readonly folder: string;
  /** PEM files; needed by SSL and SASL_SSL. */
  readonly tls: BrokerTls | null;
  /** For SASL PLAIN; SCRAM's users are kept by the cluster. */
  readonly users: Readonly<Record<string, string>>;
  /** Any further or other broker setting, such as `offsets.retention.minutes`. */
  readonly overrides: Readonly<Record<string, string>>;
}

export interface BrokerTls {
  /** The broker's private key and certificate chain, one PEM file. */
  readonly keyAndCertificatePath: string;
  readonly caPath: string;
}

const HOST = "127.0.0.1";
/** As many as the machine's brokers serve: fewer means faster starts. */
const INTERNAL_PARTITIONS = 10;

export function serverProperties(settings: BrokerSettings): string {
  const nodes = settings.controllerPorts;
  const replicas = String(Math.min(nodes.length, 3));
  const properties: Record<string, string> = {
    "process.roles": "broker,controller",
    "node.id": String(settings.nodeId),
    "controller.quorum.voters": nodes
      .map((port, index) => `${index + 1}@${HOST}:${port}`)
      .join(","),
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "log.dirs": settings.folder,
    "auto.create.topics.enable": "false",
    // With one replica of these on three brokers, the loss of a leader hangs every group.
    "offsets.topic.replication.factor": replicas,
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": replicas === "3" ? "2" : "1",
    "share.coordinator.state.topic.replication.factor": replicas,
    "share.coordinator.state.topic.min.isr": "1",
    "offsets.topic.num.partitions": String(INTERNAL_PARTITIONS),
    "transaction.state.log.num.partitions": String(INTERNAL_PARTITIONS),
    // The wait for more members of a new group: 3 s for each that is started, else.
    "group.initial.rebalance.delay.ms": "0",
    // A killed broker's leaders move after this; 9 s, else.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    // How often it looks for transactions that are open for too long; 10 s, else.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "controlled.shutdown.enable": String(nodes.length > 1),
    ...listenerProperties(settings),
    ...settings.overrides,
  };
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}

function listenerProperties(settings: BrokerSettings): Record<string, string> {
  const { listeners, nodeId, controllerPorts, tls, users } = settings;
  const doors = Object.entries(listeners);
  const controller = ["CONTROLLER", controllerPorts[nodeId - 1]] as const;
  const properties: Record<string, string> = {
    listeners: [...doors, controller].map(([name, port]) => `${name}://${HOST}:${port}`).join(","),
    "advertised.listeners": doors.map(([name, port]) => `${name}://${HOST}:${port}`).join(","),
    "listener.security.protocol.map": [...doors.map(([name]) => `${name}:${name}`)]
      .concat("CONTROLLER:PLAINTEXT")
      .join(","),
  };
  if (tls !== null) {
    Object.assign(properties, {
      "ssl.keystore.type": "PEM",
      "ssl.keystore.location": tls.keyAndCertificatePath,
      "ssl.truststore.type": "PEM",
      "ssl.truststore.location": tls.caPath,
      // A door for passwords asks for no certificate; the other one insists.
      "listener.name.ssl.ssl.client.auth": "required",
      "listener.name.sasl_ssl.ssl.client.auth": "none",
    });
  }
  for (const [name] of doors.filter(([door]) => door.startsWith("SASL_"))) {
    const prefix = `listener.name.${name.toLowerCase()}`;
    const plain = Object.entries(users).map(([user, password]) => `user_${user}="${password}"`);
    Object.assign(properties, {
      "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
      [`${prefix}.plain.sasl.jaas.config`]:
        `org.apache.kafka.common.security.plain.PlainLoginModule required ${plain.join(" ")};`,
      [`${prefix}.scram-sha-256.sasl.jaas.config`]: SCRAM,
      [`${prefix}.scram-sha-512.sasl.jaas.config`]: SCRAM,
    });
  }
  return properties;
}

const SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
