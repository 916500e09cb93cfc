/** The path of a URL as it was sent, without query: a wallet id in it may hold an encoded slash. */

export function pathOf(url: string): string {
  const start = url.indexOf("/", "https://".length);
  if (start === -1) return "/";
  const query = url.indexOf("?", start);
  return query === -1 ? url.slice(start) : url.slice(start, query);
}
