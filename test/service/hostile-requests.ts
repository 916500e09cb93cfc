/**
 * Requests that a well-meaning client never sends: shapes that two parsers may read differently,
 * and paths and headers that no rule foresaw.
 *
 *   name, bytes ──socket──> refused and closed, or one answer with this status
 */

export const SMUGGLED_WALLET = "smuggled";

export interface HostileRequest {
  readonly name: string;
  readonly bytes: string;
}

export interface AnsweredRequest extends HostileRequest {
  readonly status: number;
}

const HOST = "Host: localhost\r\n";
const GET = "GET /check/alice HTTP/1.1\r\n";
const POST = `POST /deposit HTTP/1.1\r\n${HOST}`;
const FOREIGN = "POST /deposit HTTP/1.1\r\nHost: evil.example\r\n";
const BODY = '{"wallet_id":"alice","amount":1}';
const SIZE = BODY.length;
const LENGTH = `Content-Length: ${SIZE}\r\n`;
const CHUNKED = "Transfer-Encoding: chunked\r\n";
const CHUNKS = `${SIZE.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`;
/** What must never be taken for a request of its own. */
const INNER = `GET /check/${SMUGGLED_WALLET} HTTP/1.1\r\n${HOST}\r\n`;
const LONG = 60_000;

/** The connection is closed, at most with a refusal; nothing of it is a deposit. */
export const REFUSED: readonly HostileRequest[] = Object.entries({
  "two lengths": `${POST}${LENGTH}Content-Length: ${SIZE + INNER.length}\r\n\r\n${BODY}${INNER}`,
  "a list of lengths": `${POST}Content-Length: ${SIZE}, ${SIZE}\r\n\r\n${BODY}`,
  "a length with a plus": `${POST}Content-Length: +${SIZE}\r\n\r\n${BODY}`,
  "a negative length": `${POST}Content-Length: -1\r\n\r\n${BODY}`,
  "a length in hexadecimals": `${POST}Content-Length: 0x20\r\n\r\n${BODY}`,
  "a length with a space in it": `${POST}Content-Length: 3 2\r\n\r\n${BODY}`,
  "an empty length": `${POST}Content-Length:\r\n\r\n${BODY}`,
  "a length that no number holds": `${POST}Content-Length: ${"9".repeat(23)}\r\n\r\n${BODY}`,
  "a space before the colon": `${POST}Content-Length : ${SIZE}\r\n\r\n${BODY}`,
  "chunks, then a length": `${POST}${CHUNKED}${LENGTH}\r\n0\r\n\r\n${INNER}`,
  "a length, then chunks": `${POST}${LENGTH}${CHUNKED}\r\n${CHUNKS}`,
  "two encodings": `${POST}${CHUNKED}Transfer-Encoding: identity\r\n\r\n${CHUNKS}`,
  "an unknown encoding": `${POST}Transfer-Encoding: xchunked\r\n\r\n${CHUNKS}`,
  "chunked, and not at the end": `${POST}Transfer-Encoding: chunked, identity\r\n\r\n${CHUNKS}`,
  "gzip in chunks": `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n${CHUNKS}`,
  "an encoding before a space": `${POST}Transfer-Encoding : chunked\r\n\r\n${CHUNKS}`,
  "an encoding behind a tab": `${POST}Transfer-Encoding:\u000bchunked\r\n\r\n${CHUNKS}`,
  "a chunk without a size": `${POST}${CHUNKED}\r\nzz\r\n${BODY}\r\n0\r\n\r\n`,
  "a chunk of a negative size": `${POST}${CHUNKED}\r\n-20\r\n${BODY}\r\n0\r\n\r\n`,
  "a chunk too large to count": `${POST}${CHUNKED}\r\n${"f".repeat(17)}\r\n${BODY}\r\n0\r\n\r\n`,
  "a chunk that does not end": `${POST}${CHUNKED}\r\n20\r\n${BODY}XX0\r\n\r\n`,
  "chunks with bare line feeds": `${POST}${CHUNKED}\r\n20\n${BODY}\n0\n\n`,
  "a folded header": `${GET}${HOST}X: a\r\n b\r\n\r\n`,
  "a folded host": `${GET}Host: local\r\n host\r\n\r\n`,
  "bare line feeds": `${GET}${HOST}\r\n`.replaceAll("\r\n", "\n"),
  "bare carriage returns": `${GET}${HOST}\r\n`.replaceAll("\r\n", "\r"),
  "a carriage return in a value": `${GET}${HOST}X: a\rb\r\n\r\n`,
  "a NUL in a value": `${GET}${HOST}X: a\0b\r\n\r\n`,
  "a NUL in a name": `${GET}${HOST}X\0: b\r\n\r\n`,
  "a NUL in the path": `GET /check/al\0ice HTTP/1.1\r\n${HOST}\r\n`,
  "no host": `${GET}\r\n`,
  "a header without a name": `${GET}${HOST}: x\r\n\r\n`,
  "a header without a colon": `${GET}${HOST}abc\r\n\r\n`,
  "a space before the first header": `${GET} ${HOST}\r\n`,
  "an asterisk": `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`,
  "a path without a slash": `GET check/alice HTTP/1.1\r\n${HOST}\r\n`,
  "no path": `GET  HTTP/1.1\r\n${HOST}\r\n`,
  "HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "HTTP/0.9": "GET /check/alice\r\n\r\n",
  "HTTP/1.2": `GET /check/alice HTTP/1.2\r\n${HOST}\r\n`,
  "a method in lower case": `get /check/alice HTTP/1.1\r\n${HOST}\r\n`,
  "a method with a control character": `G\u0001T /check/alice HTTP/1.1\r\n${HOST}\r\n`,
  "a long method": `${"G".repeat(9_000)} /check/alice HTTP/1.1\r\n${HOST}\r\n`,
  "a long header": `${GET}${HOST}X: ${"a".repeat(LONG)}\r\n\r\n`,
  "many headers": `${GET}${HOST}${"X: y\r\n".repeat(5_000)}\r\n`,
  "a long path": `GET /check/${"a".repeat(LONG)} HTTP/1.1\r\n${HOST}\r\n`,
  "a proxy's greeting": `PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n${GET}${HOST}\r\n`,
  "a greeting of TLS": "\u0016\u0003\u0001\u0000\u00a5\u0001\u0000\u0000\u00a1\u0003\u0003",
  "empty lines": "\r\n\r\n\r\n",
}).map(([name, bytes]) => ({ name, bytes }));

/** One answer each; what follows on the connection is read as it was meant. */
export const ANSWERED: readonly AnsweredRequest[] = Object.entries({
  "the same length twice": [200, `${POST}${LENGTH}${LENGTH}\r\n${BODY}`],
  "an encoding in capitals": [200, `${POST}TRANSFER-ENCODING: CHUNKED\r\n\r\n${CHUNKS}`],
  "a chunk with an extension": [200, `${POST}${CHUNKED}\r\n20;a=b\r\n${BODY}\r\n0\r\n\r\n`],
  "an unknown expectation": [200, `${POST}Expect: nonsense\r\n${LENGTH}\r\n${BODY}`],
  "an encoded NUL": [422, `GET /check/al%00ice HTTP/1.1\r\n${HOST}\r\n`],
  "a broken encoding": [422, `GET /check/%zz HTTP/1.1\r\n${HOST}\r\n`],
  "bytes that are no text": [422, `GET /check/%ff HTTP/1.1\r\n${HOST}\r\n`],
  "an encoded slash": [200, `GET /check/a%2fb HTTP/1.1\r\n${HOST}\r\n`],
  "dots to elsewhere": [200, `GET /check/../healthz HTTP/1.1\r\n${HOST}\r\n`],
  "dots to nowhere": [404, `GET /../../etc/passwd HTTP/1.1\r\n${HOST}\r\n`],
  "a whole address": [200, `GET http://localhost/check/alice HTTP/1.1\r\n${HOST}\r\n`],
  TRACE: [405, `TRACE /check/alice HTTP/1.1\r\n${HOST}\r\n`],
  "an upgrade": [200, `${GET}${HOST}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`],
  "a GET with a body": [200, `${GET}${HOST}Content-Length: ${INNER.length}\r\n\r\n${INNER}`],
  "a body for nobody": [
    404,
    `POST /nowhere HTTP/1.1\r\n${HOST}Content-Length: ${INNER.length}\r\n\r\n${INNER}`,
  ],
  "a body for a foreign host": [
    403,
    `${FOREIGN}Content-Length: ${INNER.length}\r\n\r\n${INNER}`,
  ],
  "a body that is too large": [413, `${POST}Content-Length: ${LONG}\r\n\r\n${"x".repeat(LONG)}`],
} as const).map(([name, [status, bytes]]) => ({ name, status, bytes }));
