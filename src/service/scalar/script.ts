/**
 * Scalar, which shows the document as a page: standalone.js of the package
 * @scalar/api-reference 1.72.1 (MIT, https://github.com/scalar/scalar), compressed and otherwise as
 * the package has it. The package itself is not installed: it brings 300 others that are all in
 * this one file.
 *
 *   standalone.js.gz, in the executable too ──> GET /docs/scalar.js, compressed as it lies there
 */

import standalone from "./standalone.js.gz" with { type: "file" };

/** It changes with the program only. */
const CACHE_CONTROL = "public, max-age=86400";

/** `headers`: of the request. A client that takes no gzip gets it plain. */
export async function scalarScript(headers: Headers): Promise<Response> {
  const compressed = await Bun.file(standalone).bytes();
  const takesGzip = /\bgzip\b(?!;\s*q=0(?:\.0*)?\s*(?:,|$))/.test(
    headers.get("accept-encoding") ?? "",
  );
  const body = takesGzip ? compressed : Bun.gunzipSync(compressed);
  return new Response(body, {
    headers: {
      "content-type": "text/javascript; charset=utf-8",
      "cache-control": CACHE_CONTROL,
      vary: "accept-encoding",
      ...(takesGzip ? { "content-encoding": "gzip" } : {}),
    },
  });
}
