/**
 * Java and the broker's jars: what Maven resolves from pom.xml, and where it lies.
 *
 *   pom.xml ──mvn──> local repository, class path ──> cached by the pom's content
 *   class path, class archive if there ──> "java -XX:SharedArchiveFile=... -cp ..."
 */

import { createHash } from "node:crypto";
import { existsSync, realpathSync, statSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PROJECT_ROOT } from "../house/source-files.ts";

const POM = join(import.meta.dir, "pom.xml");
const CACHE = join(PROJECT_ROOT, "node_modules/.cache/kafka");
/** Kafka 4's own least. */
const LEAST_JAVA = 17;

/** What is missing to run a broker here, and how to get it; null when all is there. */
export async function missingForBroker(): Promise<string | null> {
  const java = await javaVersion();
  const lacks = [
    ...(java !== null && java >= LEAST_JAVA ? [] : [`Java ${LEAST_JAVA} or newer (java)`]),
    ...(Bun.which("mvn") === null ? ["Maven (mvn)"] : []),
  ];
  if (lacks.length === 0) return null;
  const found = java !== null && java < LEAST_JAVA ? `; found Java ${java}` : "";
  return (
    `a Kafka broker needs ${lacks.join(" and ")} on the PATH${found}: ` +
    "on Debian, apt-get install openjdk-17-jre-headless maven"
  );
}

/** The jars, colon-separated. Resolved by Maven the first time (43 MB), then read from a file. */
export async function brokerClassPath(): Promise<string> {
  const { cached, classPath: known } = await knownClassPath();
  if (known !== null) return known;
  await mkdir(CACHE, { recursive: true });
  const fresh = `${cached}.${process.pid}`;
  const maven = Bun.spawn(
    ["mvn", "-q", "-B", "-f", POM, "dependency:build-classpath", `-Dmdep.outputFile=${fresh}`],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  const [code, output, complaints] = await Promise.all([
    maven.exited,
    maven.stdout.text(),
    maven.stderr.text(),
  ]);
  if (code !== 0) {
    throw new Error(`Maven cannot resolve ${POM}:\n${output}${complaints}`.trimEnd());
  }
  const classPath = (await readFile(fresh, "utf8")).trim();
  await writeFile(fresh, classPath);
  await rename(fresh, cached); // whole or not at all: another process may read it now
  return classPath;
}

/** What starts the broker's programs, up to the options and the main class. */
export async function brokerJava(): Promise<readonly string[]> {
  const classPath = await brokerClassPath();
  const archive = await classArchivePath();
  const shared = existsSync(archive) ? [`-XX:SharedArchiveFile=${archive}`] : [];
  return ["java", ...shared, "-cp", classPath];
}

/** Where the broker's classes lie as this Java has read and checked them, once that was done. */
export async function classArchivePath(): Promise<string> {
  const classPath = await brokerClassPath();
  const files = [realpathSync(Bun.which("java") ?? "java"), ...classPath.split(":")];
  const key = createHash("sha256");
  // Java takes none of jars that were fetched anew, though they are the same.
  for (const file of files) key.update(`${file} ${statSync(file).mtimeMs}\n`);
  return join(CACHE, `classes-${key.digest("hex").slice(0, 16)}.jsa`);
}

/** Whether no jar is to be fetched any more. */
export async function hasJars(): Promise<boolean> {
  return (await knownClassPath()).classPath !== null;
}

async function knownClassPath(): Promise<{ cached: string; classPath: string | null }> {
  const key = createHash("sha256").update(await readFile(POM)).digest("hex").slice(0, 16);
  const cached = join(CACHE, `class-path-${key}`);
  const known = await readFile(cached, "utf8").catch(() => "");
  // The local repository may have been emptied since.
  const isWhole = known !== "" && known.split(":").every((jar) => existsSync(jar));
  return { cached, classPath: isWhole ? known : null };
}

async function javaVersion(): Promise<number | null> {
  const java = Bun.which("java");
  if (java === null) return null;
  const child = Bun.spawn([java, "-version"], { stdio: ["ignore", "ignore", "pipe"] });
  const version = /version "(?:1\.)?(\d+)/.exec(await child.stderr.text())?.[1];
  return version === undefined ? null : Number(version);
}
