/**
 * Where a topic of the cluster differs from its declaration, and what of it endangers data.
 *
 *   declared, actual ──> drifts ──> start refuses the dangerous ones, `topics` shows all
 *
 * Dangerous is what may lose a record that was acknowledged: it is refused before it does. A
 * partition count is for ever: with another, keys would move away from their rows.
 */

export interface DeclaredTopic {
  /** As the cluster has it, with its prefix. */
  readonly name: string;
  readonly partitions: number;
  /** Those that this program cares for. */
  readonly config: Readonly<Record<string, string>>;
}

export interface ActualTopic {
  readonly partitions: number;
  /** Copies of each record; the fewest of any partition. */
  readonly replicas: number;
  readonly config: Readonly<Record<string, string>>;
}

export interface Drift {
  /** Kafka's name of it, or `partitions`, or `replicas`. */
  readonly setting: string;
  readonly declared: string;
  readonly actual: string;
  /** Data may be lost by it, so nothing starts. */
  readonly endangers: boolean;
  /** A setting, which can be set. */
  readonly isCorrectable: boolean;
}

const MAX_REPLICAS = 3;

/** As many as there are brokers, up to three. */
export function replicasFor(brokers: number): number {
  return Math.min(MAX_REPLICAS, brokers);
}

/** Whoever acknowledges must be more than one, where there are three. */
export function minInSync(replicas: number): string {
  return replicas >= MAX_REPLICAS ? "2" : "1";
}

/** Empty when nothing differs. `replicas`: how many are wanted, where that is asked, too. */
export function drifts(
  wanted: DeclaredTopic,
  actual: ActualTopic,
  replicas: number | null = null,
): readonly Drift[] {
  const found: Drift[] = [];
  if (wanted.partitions !== actual.partitions) {
    found.push({
      setting: "partitions",
      declared: String(wanted.partitions),
      actual: String(actual.partitions),
      endangers: true,
      isCorrectable: false,
    });
  }
  if (replicas !== null && actual.replicas < replicas) {
    found.push({
      setting: "replicas",
      declared: String(replicas),
      actual: String(actual.replicas),
      endangers: false, // or a cluster that was made larger would stop what runs on it
      isCorrectable: false,
    });
  }
  const config = { ...wanted.config, "min.insync.replicas": minInSync(actual.replicas) };
  for (const [setting, declared] of Object.entries(config)) {
    const now = actual.config[setting] ?? "";
    if (now === declared || isMore(setting, declared, now)) continue;
    const isDanger = endangers(setting, declared, now);
    found.push({ setting, declared, actual: now, endangers: isDanger, isCorrectable: true });
  }
  return found;
}

/** `retention.ms is 1000, not -1; ...` */
export function driftText(found: readonly Drift[]): string {
  return found
    .map(({ setting, declared, actual }) => {
      const field = FIELDS[setting];
      const what = field === undefined ? setting : `${field} (${setting})`;
      return `${what} is ${actual === "" ? "not set" : actual}, not ${declared}`;
    })
    .join("; ");
}

/** What a topic's declaration calls it. */
const FIELDS: Readonly<Record<string, string>> = {
  "cleanup.policy": "cleanup",
  "retention.ms": "retentionMs",
  "delete.retention.ms": "retentionMs",
};

/** What takes larger batches takes these, too. */
function isMore(setting: string, declared: string, actual: string): boolean {
  return setting === "max.message.bytes" && Number(actual) > Number(declared);
}

function endangers(setting: string, declared: string, actual: string): boolean {
  switch (setting) {
    case "cleanup.policy": // a stream loses its older records, a table its rows
    case "message.timestamp.type": // imported history would be old enough to be dropped at once
    case "unclean.leader.election.enable": // a replica that lags may become the leader
      return true;
    case "min.insync.replicas": // what one broker alone has acknowledged is gone with it
      return Number(actual) < Number(declared);
    case "retention.ms":
    case "retention.bytes":
    case "delete.retention.ms":
      if (actual === "-1") return false;
      return declared === "-1" || Number(actual) < Number(declared);
    default:
      return false;
  }
}
