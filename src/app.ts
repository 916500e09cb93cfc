/**
 * THE MAP. Opens what a command needs, and names everything that runs, in the order of the flow:
 *
 *   POST /deposit, `deposit`, `import` ──> deposit ──> collector ──> balance-table
 *                                          └─────────> detector ───> threshold-table
 *   `flag`, POST /flags ─────────────────> flag_wallet <──┘
 *                                          └─────────> flagger ────> flagger-table
 *   views of the three tables ──────────> GET /check, /wallets, /flags; `check`, `flags`
 */

import { balanceGroup } from "./collector/collector.ts";
import { depositStream } from "./deposits/deposit.ts";
import { importDeposits, type ImportRequest, type ImportResult } from "./deposits/import.ts";
import { createSubmissions, type Submissions } from "./deposits/submission.ts";
import { thresholdGroup } from "./detector/detector.ts";
import { type Rules, rulesOf } from "./detector/rules.ts";
import { flagWalletStream } from "./flagger/flag-wallet.ts";
import { flaggerGroup } from "./flagger/flagger.ts";
import type { Deposit } from "./gen/depositaja/v1/deposit_pb.ts";
import type { FlagWallet } from "./gen/depositaja/v1/flag_wallet_pb.ts";
import { openPlace, type Place, type PlacedLog, type PlaceOptions } from "./place.ts";
import { type AccessOptions, createStartingService, type Service } from "./service/listening.ts";
import type { MetricsOptions } from "./service/metrics.ts";
import { verify, type VerifyOptions, type VerifyResult } from "./proof/verify/verify.ts";
import { createHealthService, createService } from "./service/service.ts";
import { createDeadLetters, type DeadLetters } from "./stream/dead-letters.ts";
import { createEmitter, type Emitter } from "./stream/emitter.ts";
import { tableName } from "./stream/group.ts";
import { type Processor, type ProcessorOptions, startProcessor } from "./stream/processor.ts";
import {
  newestPositions,
  type Pending,
  type ProgressReader,
  Settling,
  type StreamPosition,
  whenSettled,
} from "./stream/settling.ts";
import { Follower } from "./stream/follower.ts";
import { Followers } from "./stream/followers.ts";
import { SettledWait } from "./stream/settled-wait.ts";
import { StandIn, type StandInOptions } from "./stream/stand-in.ts";
import { Statuses } from "./stream/status.ts";
import { countRows, openSnapshot } from "./stream/table-snapshot.ts";
import { Tails } from "./stream/tail.ts";
import { defineTopology, type Topology, topicSpecs } from "./stream/topology.ts";
import { View } from "./stream/view.ts";
import { type Wallets, walletsOf } from "./wallets.ts";

/** Enough tasks for a few processes, few enough files; fixed when a log is created. */
export const DEFAULT_PARTITIONS = 8;
/** Cents; fixed when a log is created. */
export const DEFAULT_DECIMALS = 2;

/** Every group by its name, in the order of the flow: a new one is one line here. */
const GROUPS = {
  balance: { processor: "collector", define: () => balanceGroup },
  threshold: { processor: "detector", define: thresholdGroup },
  flagger: { processor: "flagger", define: () => flaggerGroup },
} as const;

type GroupName = keyof typeof GROUPS;
export type ProcessorName = (typeof GROUPS)[GroupName]["processor"];

/** The groups by the names of their processors, which commands take as well. */
export const PROCESSOR_NAMES = Object.fromEntries(
  Object.entries(GROUPS).map(([group, { processor }]) => [processor, group]),
) as Readonly<Record<ProcessorName, GroupName>>;

/** The streams that the program writes from outside its groups: the service and commands do. */
export const EMITTED_STREAMS = { deposits: depositStream, flagWallet: flagWalletStream } as const;

export interface AppOptions
  extends Pick<PlaceOptions, "folder" | "create" | "nowMs">,
    Partial<Pick<PlaceOptions, "kafka" | "leavesCheckpoints" | "recordChecks" | "purpose">> {
  /** Said explicitly by the user: an existing log must agree. */
  readonly partitions?: number;
  readonly decimals?: number;
  /** Resolves after so many milliseconds, or when the signal fires. */
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** How a command waits until what it wrote is settled; `leave` it before the app is closed. */
export interface Waiting extends Pick<StandIn, "settle" | "leave"> {
  /** Takes part in partitions before anything is waited for. */
  join(partitions: Iterable<number>): unknown;
}

export interface App {
  readonly log: PlacedLog;
  /** Rejects with LogError when a regular check has found damage, which ends a service. */
  readonly damaged: Promise<never>;
  readonly topology: Topology;
  readonly partitions: number;
  readonly decimals: number;
  readonly deposits: Emitter<Deposit>;
  readonly flagWallet: Emitter<FlagWallet>;
  readonly views: Readonly<Record<GroupName, View>>;
  readonly progressOf: ProgressReader;
  readonly nowMs: () => number;
  readonly delay: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly submissions: Submissions;
  readonly wallets: Wallets;
  /** The rule by which wallets are flagged. */
  readonly rules: Rules;
  readonly deadLetters: DeadLetters;
  /** Records of any topic, read back from its end. */
  readonly tails: Tails;
  /** How each partition of each group stands, as the log tells it. */
  readonly statuses: Statuses;
  /** Of what lies on this machine. */
  diskUse: Place["diskUse"];
  /**
   * For a command that must work without a service. In a data folder it runs what nobody runs; in
   * a cluster it waits for whoever does.
   */
  standIn(options: Pick<StandInOptions, "signal" | "onWait" | "monotonicMs">): Waiting;
  /** The newest position of each stream, in one partition or in all; none where nothing is. */
  ends(partition?: number): Promise<readonly StreamPosition[]>;
  startProcessors(
    names: readonly ProcessorName[],
    options?: Pick<ProcessorOptions, "standIn" | "wants">,
  ): Processor[];
  /**
   * Null once all is settled, by these groups where they are told; when the signal fires first,
   * what is waited for.
   */
  settled(
    positions: readonly StreamPosition[],
    signal: AbortSignal,
    groups?: readonly string[],
  ): Promise<Pending | null>;
  /**
   * Partitions of a data folder in which a group has run and has no table: it was restored, or the
   * files were deleted. They are built anew by whoever runs the group there.
   */
  partitionsWithoutTable(): Promise<readonly number[]>;
  /** Everything recomputed and compared, without taking part. Throws LogError. */
  verify(options: Pick<VerifyOptions, "limit" | "signal" | "onProgress">): Promise<VerifyResult>;
  /** Resolves when all is counted. Throws ImportError, LogError, and what `settle` throws. */
  importDeposits(request: ImportRequest): Promise<ImportResult>;
  /** The HTTP service, and health and readiness alone; to be started with `listen`. */
  createService(access: AccessOptions, own?: ServiceOwn): Service;
  createHealthService(access: AccessOptions, own?: ServiceOwn): Service;
  /** Stop what uses it first. Idempotent. */
  close(): Promise<void>;
}

/** What only who starts a service knows, for its metrics. */
export type ServiceOwn = Partial<Pick<MetricsOptions, "processors" | "version">>;

/** Throws LogError, as opening and `ensureTopics` do. */
export async function openApp(options: AppOptions): Promise<App> {
  const place = await openPlace({
    kafka: null,
    leavesCheckpoints: false,
    recordChecks: [],
    purpose: "command",
    ownTopics: topologyOf(DEFAULT_DECIMALS).streams.map(({ topic }) => topic),
    ...options,
    defaults: { partitions: String(DEFAULT_PARTITIONS), decimals: String(DEFAULT_DECIMALS) },
    settings: {
      ...(options.partitions === undefined ? {} : { partitions: String(options.partitions) }),
      ...(options.decimals === undefined ? {} : { decimals: String(options.decimals) }),
    },
  });
  try {
    return await assemble(place, options);
  } catch (error) {
    await place.close();
    throw error;
  }
}

/** Serves before there is an app: alive, and why it cannot do more yet. */
export function createWaitingService(
  options: AccessOptions & Pick<AppOptions, "delay"> & { readonly problem: () => string },
): Service {
  return createStartingService(options);
}

async function assemble(place: Place, options: AppOptions): Promise<App> {
  const { log, damaged, stores, copies } = place;
  const partitions = Number(log.settings["partitions"]);
  const decimals = Number(log.settings["decimals"]);
  const groups = ofEachGroup((name) => GROUPS[name].define({ decimals }));
  const topology = defineTopology(Object.values(groups));
  const { keepsChangelogs } = log;
  await log.ensureTopics(topicSpecs(topology, { partitions, keepsChangelogs }));

  const { nowMs, delay } = options;
  const monotonicMs = () => performance.now();
  const followers = new Followers(
    copies === null
      ? []
      : topology.groups.map(
          (group) =>
            new Follower({ log, group, stores: copies, partitions, delay, monotonicMs }),
        ),
  );
  const viewOf = (name: GroupName) => {
    const standing = (partition: number) => followers.progress(name, partition);
    return new View({ log, group: groups[name], stores: copies ?? stores, partitions, standing });
  };
  const views = ofEachGroup(viewOf);
  const progressOf: ProgressReader = (group, partition) =>
    views[group as GroupName].progress(partition);
  const deposits = createEmitter({ log, stream: EMITTED_STREAMS.deposits, partitions });
  const flagWallet = createEmitter({ log, stream: EMITTED_STREAMS.flagWallet, partitions });
  const onChange = (listener: () => void) => log.onChange(listener);
  const startProcessors: App["startProcessors"] = (names, own = {}) =>
    names.map((name) => {
      const group = groups[PROCESSOR_NAMES[name]];
      return startProcessor({ log, group, stores, partitions, delay, monotonicMs, ...own });
    });

  const parts: Omit<App, "createService" | "createHealthService" | "close"> = {
    log,
    damaged,
    topology,
    partitions,
    decimals,
    views,
    progressOf,
    nowMs,
    delay,
    deposits,
    flagWallet,
    submissions: createSubmissions({ deposits, counted: views.balance, onChange, nowMs, delay }),
    wallets: walletsOf({ flagWallet, views }),
    rules: rulesOf({
      ...{ log, view: views.threshold, group: groups.threshold, partitions, decimals },
      raiseFormat: () => place.raiseFormat(),
    }),
    deadLetters: createDeadLetters({ log, topology, partitions, views, nowMs }),
    tails: new Tails(log, topology, partitions),
    statuses: new Statuses({
      ...{ log, topology, partitions, nowMs, monotonicMs },
      rows: (group, each) => (copies === null ? countRows(stores, tableName(group), each) : null),
      folded: (group, each) => (copies === null ? progressOf(group.name, each) : undefined),
    }),
    diskUse: () => place.diskUse(),
    startProcessors,
    standIn: (own) => {
      if (copies !== null) {
        const follow = (partition: number) => followers.follow(partition);
        return new SettledWait({ log, topology, progressOf, delay, follow, ...own });
      }
      const names = Object.keys(PROCESSOR_NAMES) as ProcessorName[];
      const startStandIns = (wants: (partition: number) => boolean) =>
        startProcessors(names, { standIn: true, wants });
      return new StandIn({ log, topology, progressOf, startStandIns, delay, ...own });
    },
    ends: (partition) => {
      const all = Array.from({ length: partitions }, (_, each) => each);
      return newestPositions(log, topology, partition === undefined ? all : [partition]);
    },
    partitionsWithoutTable: () => (copies === null ? missingTables(log, views, partitions) : none),
    verify: (own) => {
      const { logProblems } = place;
      const openTable = (table: string, each: number) => openSnapshot(stores, table, each);
      const source = copies === null ? { openTable } : {};
      return verify({
        ...{ log, partitions, decimals, delay, monotonicMs, logProblems },
        ...source,
        ...own,
      });
    },
    importDeposits: (request) => {
      followers.followAll(); // it asks what became of each row
      return importDeposits(request, {
        deposits,
        balance: views.balance,
        ledger: log,
        readSent: ({ partition, from, to }) =>
          log.read({ topic: depositStream.topic, partition, from, until: to }),
        decimals,
        temporaryFolder: place.temporaryFolder,
        nowMs,
        delay,
      });
    },
    settled: (positions, signal, names = Object.keys(groups)) => {
      const waitedFor = topology.groups.filter(({ name }) => names.includes(name));
      const settling = new Settling({ ...topology, groups: waitedFor }, positions);
      return whenSettled({ log, settling, progressOf, signal });
    },
  };
  const serviceParts = (own: ServiceOwn) => ({
    ...parts,
    ...own,
    processorNames: ofEachGroup((name) => GROUPS[name].processor),
    viewProblem: () => followers.problem,
    viewsNotFollowed: () => followers.notFollowed,
  });
  return {
    ...parts,
    createService: (access, own = {}) => {
      followers.followAll();
      return createService(serviceParts(own), access);
    },
    createHealthService: (access, own = {}) => createHealthService(serviceParts(own), access),
    close: async () => {
      try {
        await followers.stop();
        for (const each of Object.values(views)) each.close();
      } finally {
        await place.close(); // its lock would keep others out
      }
    },
  };
}

async function missingTables(
  log: PlacedLog,
  views: App["views"],
  partitions: number,
): Promise<readonly number[]> {
  const missing = new Set<number>();
  for (const [group, view] of Object.entries(views)) {
    for (let partition = 0; partition < partitions; partition += 1) {
      if (view.hasStore(partition)) continue;
      if ((await log.progress(group, partition)) !== null) missing.add(partition);
    }
  }
  return [...missing].sort((a, b) => a - b);
}

const none = Promise.resolve([]);

/** What runs on a log with so many decimals. Throws StreamError. */
export function topologyOf(decimals: number): Topology {
  return defineTopology(Object.values(ofEachGroup((name) => GROUPS[name].define({ decimals }))));
}

function ofEachGroup<T>(make: (name: GroupName) => T): Readonly<Record<GroupName, T>> {
  const names = Object.keys(GROUPS) as GroupName[];
  return Object.fromEntries(names.map((name) => [name, make(name)])) as Record<GroupName, T>;
}
