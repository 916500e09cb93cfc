/**
 * What is imported, as bytes that can be read twice: a file, or a pipe put into a temporary one.
 *
 *   file ────────────────────────────┐
 *   pipe ──> unlinked temporary file ┴──plain or gzip, by its first bytes──> plain chunks
 *
 * The temporary file loses its name as soon as it is open: it is gone with the process, however
 * that ends.
 */

import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { gunzip, isGzip } from "./gunzip.ts";
import { ImportError, reasonOf } from "./import-error.ts";

/** Large enough to be cheap, small enough to let the event loop run. */
const CHUNK_BYTES = 256 * 1024;

export interface ImportSource {
  /** As the user named it. */
  readonly name: string;
  /** As stored: compressed, if it is. */
  readonly sizeBytes: number;
  /**
   * The content from its start, uncompressed, cut alike every time. `onRead` hears how many stored
   * bytes were read.
   */
  chunks(onRead?: (bytes: number) => void): AsyncIterable<Uint8Array>;
  /** Whether this is the file at a path. */
  isAt(path: string): Promise<boolean>;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface SourceOptions {
  /** A path; `-` is `pipe`. */
  readonly path: string;
  /** What `-` stands for. */
  readonly pipe: AsyncIterable<Uint8Array>;
  /** Where the temporary file goes: on the disk that the deposits will need room on anyway. */
  readonly temporaryFolder: string;
  readonly signal: AbortSignal;
  /** How many bytes of a pipe were taken so far. */
  readonly onTaken?: (bytes: number) => void;
}

/** Throws ImportError `unreadable`, `stopped`. */
export async function openImportSource(options: SourceOptions): Promise<ImportSource> {
  const { path } = options;
  if (path === "-") {
    return sourceOf("the pipe", await keep(options.pipe, "the pipe", options));
  }
  const handle = await reading(path, () => open(path, "r"));
  try {
    const status = await reading(path, () => handle.stat());
    if (status.isDirectory()) throw unreadable(path, "it is a folder");
    if (status.isFile()) return sourceOf(path, { handle, sizeBytes: status.size });
    // A named pipe, or what a shell makes of <(command).
    const kept = await keep(inOrder(path, handle), path, options);
    await handle.close();
    return sourceOf(path, kept);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

interface Stored {
  readonly handle: FileHandle;
  readonly sizeBytes: number;
}

function sourceOf(name: string, { handle, sizeBytes }: Stored): ImportSource {
  const readFrom = (offset: number, onRead?: (bytes: number) => void) =>
    range(name, handle, { from: offset, to: sizeBytes, onRead });
  return {
    name,
    sizeBytes,
    async *chunks(onRead) {
      const head = Buffer.alloc(2);
      await reading(name, () => handle.read(head, 0, head.length, 0));
      if (isGzip(head)) yield* strictly(name, gunzip((offset) => readFrom(offset, onRead)));
      else yield* readFrom(0, onRead);
    },
    isAt: async (path) => {
      try {
        const other = await open(path, "r");
        const [mine, its] = await Promise.all([handle.stat(), other.stat()]);
        await other.close();
        return mine.dev === its.dev && mine.ino === its.ino;
      } catch {
        return false; // nothing there that could be read
      }
    },
    close: () => handle.close(),
  };
}

async function* range(
  name: string,
  handle: FileHandle,
  bounds: { from: number; to: number; onRead: ((bytes: number) => void) | undefined },
): AsyncGenerator<Uint8Array> {
  const { from, to, onRead } = bounds;
  for (let at = from; at < to; ) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, to - at));
    const position = at;
    // A file gives what is asked for, except where it was cut short: the checksum tells.
    const { bytesRead } = await reading(name, () => handle.read(chunk, 0, chunk.length, position));
    if (bytesRead === 0) return;
    at += bytesRead;
    onRead?.(at);
    yield chunk.subarray(0, bytesRead);
  }
}

async function* inOrder(name: string, handle: FileHandle): AsyncGenerator<Uint8Array> {
  for (;;) {
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
    const { bytesRead } = await reading(name, () => handle.read(chunk, 0, chunk.length, null));
    if (bytesRead === 0) return;
    yield chunk.subarray(0, bytesRead);
  }
}

async function* strictly(
  name: string,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
  } catch (error) {
    if (error instanceof ImportError) throw error;
    throw new ImportError("bad_content", `${name}: ${(error as Error).message}`, { cause: error });
  }
}

/** Puts a pipe's bytes into a temporary file without a name. */
async function keep(
  pipe: AsyncIterable<Uint8Array>,
  name: string,
  { temporaryFolder, signal, onTaken }: SourceOptions,
): Promise<Stored> {
  const path = join(temporaryFolder, `import-${process.pid}.tmp`);
  await writing(temporaryFolder, () => rm(path, { force: true })); // of a process killed just here
  const handle = await writing(temporaryFolder, () => open(path, "wx+", 0o600));
  try {
    await writing(temporaryFolder, () => rm(path));
    let sizeBytes = 0;
    for await (const chunk of untilStopped(pipe, name, signal)) {
      const at = sizeBytes;
      await writing(temporaryFolder, () => writeAll(handle, chunk, at));
      sizeBytes += chunk.length;
      onTaken?.(sizeBytes);
    }
    return { handle, sizeBytes };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** A pipe may be silent for long: the signal ends the wait for it. */
async function* untilStopped(
  pipe: AsyncIterable<Uint8Array>,
  name: string,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const stopped = Promise.withResolvers<never>();
  stopped.promise.catch(() => {}); // heard in the race, or nobody waits any more
  const stop = () => {
    stopped.reject(new ImportError("stopped", `stopped while ${name} was read: nothing was sent`));
  };
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  const iterator = pipe[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), stopped.promise]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

async function writeAll(handle: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < chunk.length; ) {
    const rest = chunk.length - done;
    done += (await handle.write(chunk, done, rest, position + done)).bytesWritten;
  }
}

async function reading<T>(name: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw unreadable(name, reasonOf(error), error);
  }
}

async function writing<T>(folder: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    const message = `the pipe cannot be kept in ${folder}: ${reasonOf(error)}`;
    throw new ImportError("unreadable", message, { cause: error });
  }
}

function unreadable(name: string, reason: string, cause?: unknown): ImportError {
  return new ImportError("unreadable", `${name} cannot be read: ${reason}`, { cause });
}
