/**
 * Certificates and private keys in files, as settings name them: read, and what they should be.
 *
 *   path ──> PEM text, checked, or UsageError that names the setting and shows nothing of the file
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { UsageError } from "./usage-error.ts";

/** A file, and which setting names it. */
export interface SaidFile {
  readonly path: string;
  readonly source: string | null;
}

export interface CertificatePair {
  /** PEM texts. */
  readonly cert: string;
  readonly key: string;
}

/** Throws UsageError, also where the key is another certificate's. */
export function certificatePair(certFile: SaidFile, keyFile: SaidFile): CertificatePair {
  const cert = certificateIn(certFile);
  const key = privateKeyIn(keyFile);
  if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return { cert, key };
  throw new UsageError(`the private key in ${keyFile.path} is not that of ${certFile.path}`);
}

export function certificateIn(file: SaidFile): string {
  const text = textOf(file);
  if (isCertificate(text)) return text;
  throw new UsageError(
    `${file.source}: ${file.path} holds no certificate: it must be PEM text, ` +
      '"-----BEGIN CERTIFICATE-----"',
  );
}

/** The first of them, as an authority's file may hold several. */
function isCertificate(text: string): boolean {
  if (!/-----BEGIN (TRUSTED )?CERTIFICATE-----/.test(text)) return false;
  try {
    return new X509Certificate(text).raw.length > 0;
  } catch {
    return false; // the parser's own words say nothing of the file
  }
}

function privateKeyIn(file: SaidFile): string {
  const text = textOf(file);
  if (text.includes("ENCRYPTED")) {
    throw new UsageError(
      `${file.source}: the private key in ${file.path} is encrypted, and there is no way to say ` +
        "its passphrase: name a file with the key decrypted that nobody else may read",
    );
  }
  try {
    createPrivateKey(text);
  } catch {
    // No cause: a message of the parser might show a part of the key.
    throw new UsageError(
      `${file.source}: ${file.path} holds no private key: it must be PEM text, ` +
        '"-----BEGIN PRIVATE KEY-----"',
    );
  }
  return text;
}

export function textOf({ path, source }: SaidFile): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const reason = code === "ENOENT" ? "it is not there" : message;
    throw new UsageError(`${source}: ${path} cannot be read: ${reason}`, { cause: error });
  }
}
