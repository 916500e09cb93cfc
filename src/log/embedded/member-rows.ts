/**
 * Members, the groups that they have joined, and whose each partition is: three SQL tables of the
 * log's file. What it all means, membership.ts decides.
 *
 *   read ──> all rows as they are now      what writes runs in a transaction of the writer
 *
 * A member's counter and a claim's epoch only grow.
 */

import type { Database, Statement } from "bun:sqlite";
import { type ProcessIdentity, thisProcess } from "./processes.ts";

export interface MemberRow extends ProcessIdentity {
  readonly id: string;
  readonly counter: number;
}

export interface MembershipRow {
  readonly group_name: string;
  readonly member: string;
  readonly stand_in: number;
}

export interface ClaimRow {
  readonly group_name: string;
  readonly partition: number;
  readonly epoch: number;
  /** Null: nobody's. */
  readonly member: string | null;
}

export interface AllRows {
  readonly members: readonly MemberRow[];
  readonly memberships: readonly MembershipRow[];
  readonly claims: readonly ClaimRow[];
}

export class MemberRows {
  private readonly statements: Record<"members" | "memberships" | "claims" | "claim", Statement>;

  constructor(private readonly database: Database) {
    this.statements = {
      members: database.prepare("SELECT * FROM members"),
      memberships: database.prepare("SELECT * FROM memberships"),
      claims: database.prepare("SELECT * FROM claims"),
      claim: database.prepare("SELECT * FROM claims WHERE group_name = ? AND partition = ?"),
    };
  }

  read(): AllRows {
    return {
      members: this.statements.members.all() as MemberRow[],
      memberships: this.statements.memberships.all() as MembershipRow[],
      claims: this.statements.claims.all() as ClaimRow[],
    };
  }

  /** Null when nobody ever had the partition. */
  claim(group: string, partition: number): ClaimRow | null {
    return this.statements.claim.get(group, partition) as ClaimRow | null;
  }

  /** Adds this process under the id, where it is missing, and says what it has joined. */
  register(
    id: string,
    joined: Iterable<{ readonly group: string; readonly isStandIn: boolean }>,
  ): void {
    const { pid, started, host } = thisProcess();
    this.database
      .query("INSERT OR IGNORE INTO members (id, pid, started, host) VALUES (?, ?, ?, ?)")
      .run(id, pid, started, host);
    const insert = this.database.query("INSERT OR REPLACE INTO memberships VALUES (?, ?, ?)");
    for (const { group, isStandIn } of joined) insert.run(group, id, isStandIn ? 1 : 0);
  }

  /** A heartbeat. */
  moveCounter(id: string): void {
    this.database.query("UPDATE members SET counter = counter + 1 WHERE id = ?").run(id);
  }

  /** Frees the group's partitions that the member has, and takes it out of the group. */
  leave(id: string, group: string): void {
    this.database
      .query("UPDATE claims SET member = NULL WHERE member = ? AND group_name = ?")
      .run(id, group);
    this.database
      .query("DELETE FROM memberships WHERE member = ? AND group_name = ?")
      .run(id, group);
  }

  /** A member that is not there owns nothing. */
  remove(id: string): void {
    this.database.query("UPDATE claims SET member = NULL WHERE member = ?").run(id);
    this.database.query("DELETE FROM memberships WHERE member = ?").run(id);
    this.database.query("DELETE FROM members WHERE id = ?").run(id);
  }

  /** Removes the member, unless it has shown life since the row was read. */
  evict({ id, counter }: MemberRow): void {
    const row = this.database.query("SELECT counter FROM members WHERE id = ?").get(id);
    if ((row as { counter: number } | null)?.counter === counter) this.remove(id);
  }

  /** Takes the partition if it is still free, one epoch on. Returns the epoch; null: not free. */
  take(id: string, group: string, partition: number): number | null {
    const claim = this.claim(group, partition);
    if (claim !== null && claim.member !== null && this.exists(claim.member)) return null;
    const epoch = (claim?.epoch ?? 0) + 1;
    this.database
      .query(
        "INSERT OR REPLACE INTO claims (group_name, partition, epoch, member) VALUES (?, ?, ?, ?)",
      )
      .run(group, partition, epoch, id);
    return epoch;
  }

  /** Makes the partition nobody's, unless another epoch or member has it. */
  free(id: string, group: string, partition: number, epoch: number): void {
    this.database
      .query(
        "UPDATE claims SET member = NULL " +
          "WHERE group_name = ? AND partition = ? AND epoch = ? AND member = ?",
      )
      .run(group, partition, epoch, id);
  }

  close(): void {
    for (const statement of Object.values(this.statements)) statement.finalize();
  }

  private exists(id: string): boolean {
    return this.database.query("SELECT 1 FROM members WHERE id = ?").get(id) !== null;
  }
}
