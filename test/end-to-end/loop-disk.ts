/**
 * A real disk for tests that lose it: ext4 on a file, which root may mount.
 *
 *   mount ──> path ──fill──> full ──empty──> as before
 *               ├──makeReadOnly──> as ext4 does it after an error of the device
 *               └──cut──> gone, with all that was not synced ──mountAgain──> what is left
 *
 * `cut` asks the file system to shut down without writing anything more: what was not synced stands
 * in no journal and is gone when it is mounted again, as after a power cut.
 */

import { dlopen } from "bun:ffi";
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { fillFile } from "./small-disk.ts";
import { temporaryFolder } from "./program.ts";

/** `EXT4_IOC_SHUTDOWN`, and its flag for "write nothing more, not even the journal". */
const SHUTDOWN = 0x8004587dn;
const WITHOUT_JOURNAL = 2;
const UNMOUNT_WITHIN_MS = 10_000;
const POLL_MS = 10;

export class LoopDisk implements Disposable {
  readonly path: string;
  private readonly image: string;
  private readonly ballast: string;

  /** Throws where this process may not mount. */
  constructor(
    private readonly folder: ReturnType<typeof temporaryFolder>,
    megabytes: number,
  ) {
    this.path = join(folder.path, "disk");
    this.image = join(folder.path, "image");
    this.ballast = join(this.path, "ballast");
    mkdirSync(this.path);
    closeSync(openSync(this.image, "w"));
    truncateSync(this.image, megabytes * 1024 * 1024);
    // No blocks are kept for root, who would not notice that the disk is full.
    command("mkfs.ext4", "-q", "-F", "-m", "0", this.image);
    this.mount();
  }

  fill(): void {
    fillFile(this.ballast);
  }

  empty(): void {
    rmSync(this.ballast, { force: true });
  }

  /** From now on whoever writes gets EROFS, whatever he has open. */
  makeReadOnly(): void {
    const device = /^(\S+)/.exec(mountOf(this.path) ?? "")?.[1] ?? "";
    writeFileSync(`/sys/fs/ext4/${basename(device)}/trigger_fs_error`, "1");
  }

  /** From now on whoever reads or writes gets EIO. */
  cut(): void {
    const { symbols } = dlopen("libc.so.6", {
      ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
    });
    const root = openSync(this.path, "r");
    const result = symbols.ioctl(root, SHUTDOWN, new Uint32Array([WITHOUT_JOURNAL]));
    closeSync(root);
    if (result !== 0) throw new Error("the file system does not shut down");
  }

  /** Once nobody has a file open there. */
  async mountAgain(): Promise<void> {
    const endMs = performance.now() + UNMOUNT_WITHIN_MS;
    while (mountOf(this.path) !== null) {
      const { success, stderr } = Bun.spawnSync(["umount", this.path], { stderr: "pipe" });
      if (!success && performance.now() > endMs) throw new Error(stderr.toString());
      if (!success) await Bun.sleep(POLL_MS);
    }
    // A journal is replayed by the mount; what an error has left, only a check repairs.
    Bun.spawnSync(["fsck.ext4", "-p", this.image], { stdout: "ignore", stderr: "ignore" });
    this.mount();
  }

  [Symbol.dispose](): void {
    Bun.spawnSync(["umount", "--lazy", this.path], { stderr: "ignore" });
    this.folder[Symbol.dispose]();
  }

  private mount(): void {
    command("mount", "-o", "loop,errors=remount-ro", this.image, this.path);
  }
}

/** Null where such a disk can be had, else why not. */
export function whyNoLoopDisk(): string | null {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "only root may mount";
  try {
    using disk = new LoopDisk(temporaryFolder(), 8);
    disk.makeReadOnly();
    disk.cut();
    return null;
  } catch (error) {
    return `no disk can be made of a file: ${(error as Error).message.split("\n", 1)[0]}`;
  }
}

function mountOf(path: string): string | null {
  const lines = readFileSync("/proc/mounts", "utf8").split("\n");
  return lines.find((line) => line.split(" ")[1] === path) ?? null;
}

function command(...args: string[]): void {
  const { success, stderr } = Bun.spawnSync(args, { stderr: "pipe" });
  if (!success) throw new Error(`${args.join(" ")}: ${stderr.toString()}`);
}
