/**
 * Stores on a simulated disk: SQLite in memory. A killed process leaves them as they are; a power
 * cut leaves each as some earlier transaction had left it, for stores do not sync.
 *
 *   owner ──apply──> store ──told──> judge      look back ──> what a power cut leaves
 */

import type { Database } from "bun:sqlite";
import type { Progress } from "../../src/log/event-log.ts";
import { decodeProgress } from "../../src/log/progress-text.ts";
import { toLatin1 } from "../../src/stream/row-key.ts";
import type { Store } from "../../src/stream/store.ts";
import { Stores } from "../../src/stream/stores.ts";
import { StreamError } from "../../src/stream/stream-error.ts";
import type { Chance } from "./chance.ts";
import type { Conditions } from "./conditions.ts";
import type { Applied } from "./judge.ts";
import type { Scheduler } from "./scheduler.ts";

/** A store's earlier states that a power cut may come back to. */
const EARLIER_STATES = 4;

interface State {
  readonly rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[];
  readonly place: Record<string, string | number | null>;
}

export interface StoreOptions {
  readonly name: string;
  readonly incarnation: string;
  readonly nowMs: () => number;
  readonly scheduler: Scheduler;
  readonly chance: Chance;
  readonly conditions: Conditions;
  readonly onApplied: (applied: Applied) => void;
}

export class SimulatedStores extends Stores {
  private readonly earlier = new Map<string, State[]>();
  private readonly epochs = new Map<string, number>();

  constructor(private readonly simulated: StoreOptions) {
    super(":memory:", simulated.incarnation, simulated.nowMs);
  }

  override open(table: string, partition: number): Store {
    const store = super.open(table, partition);
    this.watch(store, table, partition);
    this.closeWithLife(store);
    return store;
  }

  override openForReading(table: string, partition: number): Store | null {
    const store = super.openForReading(table, partition);
    if (store !== null) this.closeWithLife(store);
    return store;
  }

  /** Remembers how stores are now: a power cut may come back to it. */
  remember(): void {
    for (const [path, database] of this.databases) {
      const states = this.earlier.get(path) ?? [];
      states.push(stateOf(database));
      if (states.length > EARLIER_STATES) states.shift();
      this.earlier.set(path, states);
    }
  }

  /** Each store is as it is, or as it was once, or gone. */
  powerCut(): void {
    const { chance } = this.simulated;
    for (const [path, database] of this.databases) {
      const states = this.earlier.get(path) ?? [];
      const fate = chance.below(states.length + 2);
      if (fate === 0) continue;
      restore(database, states[fate - 1] ?? null);
      this.epochs.delete(path);
    }
    this.earlier.clear();
  }

  /** What each store holds now, by table and partition. */
  *contents() {
    for (const [path, database] of this.databases) {
      const [table = "", partition = ""] = path.split("/");
      const { rows, place } = stateOf(database);
      const text = place["progress"];
      yield {
        ...{ table, partition: Number(partition), name: this.simulated.name },
        progress: typeof text === "string" ? decodeProgress(text) : null,
        rows: new Map(rows.map(({ key, value }) => [toLatin1(key), value])),
      };
    }
  }

  /** Where a store stands; nothing for one that is not there. */
  *places(table: string, partition: number): Generator<Progress | null> {
    const database = this.databases.get(`${table}/${partition}`);
    const place = database?.query("SELECT progress FROM place").get() as
      | { readonly progress: string | null }
      | undefined;
    if (place !== undefined) yield place.progress === null ? null : decodeProgress(place.progress);
  }

  close(): void {
    for (const database of this.databases.values()) database.close();
    this.databases.clear();
  }

  private get databases(): Map<string, Database> {
    return (this as unknown as { shared: Map<string, Database> }).shared;
  }

  private watch(store: Store, table: string, partition: number): void {
    const { chance, conditions, onApplied, name } = this.simulated;
    const apply = store.apply.bind(store);
    store.apply = (change) => {
      if (chance.is(conditions.storeFaultChance)) {
        throw new StreamError("store_unavailable", `the store ${store.path} has no room`);
      }
      const rows = [...change.rows];
      apply({ ...change, rows });
      const { epoch, before, after } = change;
      const newestEpoch = this.epochs.get(store.path) ?? 0;
      onApplied({ store: name, table, partition, epoch, newestEpoch, before, after, rows });
    };
    const take = store.take.bind(store);
    store.take = (epoch) => {
      take(epoch);
      this.epochs.set(store.path, Math.max(epoch, this.epochs.get(store.path) ?? 0));
    };
  }

  /** A dead process's statements are the machine's to take back. */
  private closeWithLife(store: Store): void {
    const { current } = this.simulated.scheduler;
    if (current === null) return;
    let isOpen = true;
    const close = store.close.bind(store);
    store.close = () => {
      if (!isOpen) return;
      isOpen = false;
      close();
    };
    current.handles.push(() => store.close());
  }
}

function stateOf(database: Database): State {
  return {
    rows: database.query("SELECT key, value FROM rows").all() as State["rows"],
    place: database.query("SELECT * FROM place").get() as State["place"],
  };
}

/** Null: the file is a new one. */
function restore(database: Database, state: State | null): void {
  database.exec("DELETE FROM rows");
  const put = database.query("INSERT INTO rows VALUES (?, ?)");
  for (const { key, value } of state?.rows ?? []) put.run(key, value);
  const { epoch = 0, progress = null, in_step_ms: inStepMs = null } = state?.place ?? {};
  database
    .query("UPDATE place SET epoch = ?, progress = ?, in_step_ms = ?")
    .run(epoch, progress, inStepMs);
}
