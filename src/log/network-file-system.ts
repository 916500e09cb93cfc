/**
 * Whether a folder lies on a network file system, where SQLite's locks and shared memory do not
 * hold between machines.
 *
 *   folder ──statfs──> type ──FUSE only──> /proc/self/mountinfo ──> name, or null
 *
 * A FUSE file system may be local or remote; only the name under which it is mounted tells
 * (proc(5)). One that is not known here passes.
 */

import { readFileSync, statfsSync, statSync } from "node:fs";
import { LogError } from "./event-log.ts";

/** As statfs(2) gives them. */
const NAMES_BY_TYPE = new Map([
  [0x6969, "NFS"],
  [0x517b, "SMB"],
  [0xff534d42, "CIFS"],
  [0xfe534d42, "SMB2"],
  [0x5346414f, "AFS"],
  [0x564c, "NCP"],
  [0x01021997, "9P"],
  [0x00c36400, "Ceph"],
  [0x0bd00bd0, "Lustre"],
]);
const FUSE_TYPE = 0x65735546;
const NETWORK_OVER_FUSE = new RegExp(
  "^fuse\\.(sshfs|gluster.*|ceph.*|s3fs|rclone|davfs.*|gcsfuse|goofys|juicefs|mfs|moosefs|" +
    "smbnetfs)$",
);

/** Its name; null for a local one. Throws what the system throws for a folder that is not there. */
function networkFileSystem(folder: string): string | null {
  const type = Number(statfsSync(folder).type) >>> 0;
  if (type !== FUSE_TYPE) return NAMES_BY_TYPE.get(type) ?? null;
  const name = mountedAs(statSync(folder).dev);
  return name !== null && NETWORK_OVER_FUSE.test(name) ? name : null;
}

/** The type of the mount with this device number; null where the system does not tell. */
function mountedAs(device: number): string | null {
  const major = (device >>> 8) & 0xfff;
  const minor = (device & 0xff) | ((device >>> 12) & 0xfff00);
  let mounts: string;
  try {
    mounts = readFileSync("/proc/self/mountinfo", "utf8");
  } catch {
    return null; // not Linux
  }
  for (const line of mounts.split("\n")) {
    // "42 27 0:39 / /mnt rw,relatime - fuse.sshfs host:/folder rw": fields before " - " vary.
    if (line.split(" ", 3)[2] !== `${major}:${minor}`) continue;
    return line.split(" - ")[1]?.split(" ", 1)[0] ?? null;
  }
  return null;
}

/** Throws `unusable_place`. The folder must be there. */
export function refuseNetworkFolder(folder: string): void {
  const fileSystem = networkFileSystem(folder);
  if (fileSystem === null) return;
  throw new LogError(
    "unusable_place",
    `${folder} is on a network file system (${fileSystem}), where locks do not hold: ` +
      "choose a folder on a local disk",
  );
}
