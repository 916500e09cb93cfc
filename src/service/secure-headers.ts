/**
 * Headers that every answer has, so that a browser makes nothing of it but what it is.
 *
 *   answer ──no type guessed, kept by no cache, framed and run nowhere──> browser
 *
 * They are constant and made once: hono's own middleware sets eleven of them anew with each answer,
 * at a cost that shows in GET /check, and most of them mean nothing for an answer that is data.
 */

export const SECURE_HEADERS: Readonly<Record<string, string>> = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
};

/** An answer that was made without them; what it says itself of them stays. */
export function secured(response: Response): Response {
  const { headers } = response;
  if (headers.has("x-content-type-options")) return response;
  for (const [name, value] of Object.entries(SECURE_HEADERS)) {
    if (!headers.has(name)) headers.set(name, value);
  }
  return response;
}
