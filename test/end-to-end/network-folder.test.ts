import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { takePlace } from "../../src/log/kafka/place.ts";
import { Running, run, temporaryFolder, until } from "./program.ts";

const TEST_MS = 60_000;
/** Where Debian and Fedora have it. */
const SFTP_SERVERS = ["/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server"];
const sftpServer = SFTP_SERVERS.find((path) => existsSync(path));

const missing = [
  ...["sshfs", "socat", "umount"].filter((name) => Bun.which(name) === null),
  ...(sftpServer === undefined ? ["sftp-server"] : []),
  ...(existsSync("/dev/fuse") ? [] : ["/dev/fuse"]),
  ...(process.getuid?.() === 0 ? [] : ["root"]),
];
const reason = missing.length === 0 ? "" : ` (skipped: without ${missing.join(", ")})`;

// NFS and SMB would need their kernel modules; sshfs runs over a pipe, without any network.
// Skipped: where no network file system may be mounted.
test.skipIf(reason !== "")(`a network file system is refused by its name${reason}`, async () => {
  using folder = temporaryFolder();
  const place = join(folder.path, "mounted");
  for (const name of ["mounted", "remote"]) mkdirSync(join(folder.path, name));
  const sshfs = `EXEC:sshfs -f -o slave \\:${join(folder.path, "remote")} ${place}`;
  const options = { folder: folder.path };
  await using mount = new Running(
    { ...options, program: ["socat"] },
    `EXEC:${sftpServer}`,
    sshfs,
  );
  try {
    const isMounted = () => Bun.spawnSync(["mountpoint", "-q", place]).success;
    await until(isMounted, () => mount.err);
    for (const args of [["up", "--port", "0"], ["process", "--all"]]) {
      const data = join(place, "data");
      const refused = await run(options, ...args, "--data", data);
      expect({ args, ...refused }).toEqual({
        args,
        code: 1,
        out: "",
        err:
          `error: ${data} is on a network file system (fuse.sshfs), where locks do not hold: ` +
          "choose a folder on a local disk\n",
      });
    }
    // Beside a cluster a process locks a folder, too.
    const taking = () =>
      takePlace({ folder: place, clusterId: "cluster", prefix: "", purpose: "process" });
    expect(taking).toThrow(
      expect.objectContaining({
        code: "unusable_place",
        message:
          `${join(place, "kafka/cluster/_/0")} is on a network file system (fuse.sshfs), where ` +
          "locks do not hold: choose a folder on a local disk",
      }),
    );
    expect(readdirSync(join(place, "kafka/cluster/_/0"))).toEqual([]);
  } finally {
    Bun.spawnSync(["umount", "--lazy", place]);
  }
}, TEST_MS);
