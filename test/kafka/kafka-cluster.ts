/**
 * A real Kafka cluster of one or three brokers on free ports of 127.0.0.1, in a folder of its
 * own, with faults at hand: kill, stop, restart.
 *
 *   options ──format──> folders ──start──> brokers ──> addresses
 */

import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BrokerProcess } from "./broker-process.ts";
import { type ListenerName, serverProperties } from "./broker-settings.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";
import { freePorts } from "./free-ports.ts";
import { brokerJava } from "./java.ts";

export interface ClusterOptions {
  /** One unless told. */
  readonly brokers?: 1 | 3;
  /** Doors besides PLAINTEXT; certificates are made for the two with TLS. */
  readonly listeners?: readonly Exclude<ListenerName, "PLAINTEXT">[];
  /** Name and password, for PLAIN and both SCRAMs. */
  readonly users?: Readonly<Record<string, string>>;
  /** Any broker setting, such as `{ "offsets.retention.minutes": "1" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** JVM options in place of those for tests. */
  readonly jvm?: readonly string[];
  /** Kept when the cluster is closed; used again when it holds one. Else a temporary one. */
  readonly folder?: string;
  /** Of the first broker's PLAINTEXT; a free one unless told. */
  readonly port?: number;
}

/** C1 alone compiles less while tests wait; a heap that three brokers fit in. */
export const JVM_FOR_TESTS = ["-Xms128m", "-Xmx512m"].concat(
  ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
);
/** For measurements and for people: Java's own compiler. */
export const JVM_FOR_LOAD = ["-Xms512m", "-Xmx1g"];
const LOGGING = ["-Dorg.slf4j.simpleLogger.showDateTime=true"].concat(
  "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
);

interface Node {
  readonly ports: Readonly<Partial<Record<ListenerName, number>>>;
  readonly propertiesPath: string;
  readonly logPath: string;
  process: BrokerProcess | null;
}

export class KafkaCluster implements AsyncDisposable {
  private constructor(
    /** Data, properties and logs of all brokers. */
    readonly folder: string,
    private readonly nodes: readonly Node[],
    private readonly jvm: readonly string[],
    private readonly isTemporary: boolean,
    /** Null without a listener of TLS. */
    readonly certificates: Certificates | null,
  ) {}

  /** Resolves once every broker serves. Rejects with the tail of a log; then nothing is left. */
  static async start(options: ClusterOptions = {}): Promise<KafkaCluster> {
    const isTemporary = options.folder === undefined;
    const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "kafka-cluster-")));
    await mkdir(folder, { recursive: true });
    const names = ["PLAINTEXT", ...(options.listeners ?? [])] as const;
    const hasTls = names.some((name) => name.endsWith("SSL"));
    const certificates = hasTls ? await makeCertificates(join(folder, "tls")) : null;
    const nodes = await writeNodes(folder, options, certificates);
    const jvm = [...(options.jvm ?? JVM_FOR_TESTS), ...LOGGING];
    const cluster = new KafkaCluster(folder, nodes, jvm, isTemporary, certificates);
    try {
      const clusterId = Buffer.from(crypto.randomUUID().replaceAll("-", ""), "hex");
      await Promise.all(
        nodes.map((_, index) => cluster.format(index + 1, clusterId, options.users ?? {})),
      );
      await Promise.all(nodes.map((_, index) => cluster.restart(index + 1)));
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  /** `host:port,...` of all brokers, for a client's list. */
  addresses(listener: ListenerName = "PLAINTEXT"): string {
    return this.nodes.map(({ ports }) => `127.0.0.1:${ports[listener]}`).join(",");
  }

  /** Starts what is not running; resolves once it serves. Brokers count from 1. */
  async restart(broker = 1): Promise<void> {
    const node = this.node(broker);
    if (node.process !== null && !node.process.hasEnded()) return;
    const { propertiesPath, logPath } = node;
    node.process = await BrokerProcess.start({
      java: [...(await brokerJava()), ...this.jvm],
      propertiesPath,
      logPath,
      leftoverFolder: this.isTemporary ? this.folder : null,
    });
    await node.process.ready();
  }

  /** kill -9; resolves once it is dead. */
  async kill(broker = 1): Promise<void> {
    await this.node(broker).process?.kill();
  }

  /** SIGTERM; resolves once it has ended. */
  async stop(broker = 1): Promise<void> {
    await this.node(broker).process?.stop();
  }

  /** SIGSTOP: connections stay open and are not answered. */
  pause(broker = 1): void {
    this.node(broker).process?.pause();
  }

  /** SIGCONT. */
  resume(broker = 1): void {
    this.node(broker).process?.resume();
  }

  /** The JVM's process id, for measurements; null when it does not run. */
  pid(broker = 1): number | null {
    const running = this.node(broker).process;
    return running === null || running.hasEnded() ? null : running.pid;
  }

  /** The last lines of every broker's log, to show beside a failure. */
  logs(): string {
    return this.nodes
      .map(({ process, logPath }) => `${logPath}:\n${process?.tail() ?? ""}`)
      .join("\n");
  }

  /** Idempotent. A temporary cluster is killed and its folder removed; else it stops cleanly. */
  async close(): Promise<void> {
    const end = this.isTemporary ? "kill" : "stop";
    await Promise.all(this.nodes.map((_, index) => this[end](index + 1)));
    if (this.isTemporary) await rm(this.folder, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private node(broker: number): Node {
    const node = this.nodes[broker - 1];
    if (node === undefined) throw new Error(`no broker ${broker} of ${this.nodes.length}`);
    return node;
  }

  private async format(
    broker: number,
    clusterId: Buffer,
    users: Readonly<Record<string, string>>,
  ): Promise<void> {
    if (existsSync(join(dataFolder(this.folder, broker), "meta.properties"))) return;
    const scram = Object.entries(users).flatMap(([name, password]) =>
      ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => [
        "--add-scram",
        `${mechanism}=[name=${name},password=${password}]`,
      ]),
    );
    const command = [...(await brokerJava()), ...JVM_FOR_TESTS].concat(
      ["kafka.tools.StorageTool", "format"],
      // Joined by "=": an id may begin with a dash.
      [`--cluster-id=${clusterId.toString("base64url")}`],
      ["-c", this.node(broker).propertiesPath, ...scram],
    );
    const child = Bun.spawn(command, { stdio: ["ignore", "pipe", "pipe"] });
    const [code, output, complaints] = await Promise.all([
      child.exited,
      child.stdout.text(),
      child.stderr.text(),
    ]);
    if (code === 0) return;
    const why = `exit code ${code}, signal ${child.signalCode}\n${output}${complaints}`;
    throw new Error(`cannot format the folder of broker ${broker}: ${why}`);
  }
}

async function writeNodes(
  folder: string,
  options: ClusterOptions,
  certificates: Certificates | null,
): Promise<Node[]> {
  const count = options.brokers ?? 1;
  const names = ["PLAINTEXT", ...(options.listeners ?? [])] as const;
  const ports = await freePorts(count * (names.length + 1));
  const controllerPorts = ports.splice(0, count);
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const own = ports.splice(0, names.length);
      const listeners = Object.fromEntries(names.map((name, door) => [name, own[door]]));
      if (index === 0 && options.port !== undefined) listeners["PLAINTEXT"] = options.port;
      const nodeId = index + 1;
      const propertiesPath = join(folder, `broker-${nodeId}.properties`);
      const properties = serverProperties({
        nodeId,
        controllerPorts,
        listeners,
        folder: dataFolder(folder, nodeId),
        tls: certificates?.broker ?? null,
        users: options.users ?? {},
        overrides: options.settings ?? {},
      });
      await writeFile(propertiesPath, properties);
      const logPath = join(folder, `broker-${nodeId}.log`);
      return { ports: listeners, propertiesPath, logPath, process: null };
    }),
  );
}

function dataFolder(folder: string, nodeId: number): string {
  return join(folder, `data-${nodeId}`);
}
