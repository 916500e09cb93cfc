/**
 * Every timeout and retry of the Kafka adapter. kafkajs's own are switched off: its connections
 * try once, and what is tried again, how long and with what outcome is decided here.
 */

/** A TCP connection within a data centre takes milliseconds; a broker's start takes seconds. */
export const CONNECT_MS = 3_000;
/** With several brokers, the next is tried after so long without a connection to one. */
export const CONNECT_NEXT_MS = 300;
/** One that could not be reached is left alone for so long, however many ask for it. */
export const CONNECT_AGAIN_MS = 200;
/** SASL and TLS handshakes, with a key derivation of SCRAM in them. */
export const AUTHENTICATE_MS = 5_000;
/** A request that the broker answers at once. A paused broker is noticed after so long. */
export const REQUEST_MS = 5_000;
/**
 * When nothing has come for so long, others are asked whether the broker is still one of the
 * cluster: a host that is gone closes no connection. Longer than a fetch waits.
 */
export const SILENT_MS = 1_500;
/** A client that finds no broker says so after this: an operator waits no longer. */
export const OPEN_WITHIN_MS = 7_000;
/** Between tries to reach a cluster that does not answer: a dozen at most, no storm. */
export const REACH_AGAIN_FIRST_MS = 100;
export const REACH_AGAIN_LAST_MS = 1_000;
/** What a failed opening leaves is closed for so long, with a broker that may not answer. */
export const ABANDON_WITHIN_MS = 500;

/** Between tries: the first after a leader's change, the last while a broker is down. */
export const RETRY_FIRST_MS = 5;
export const RETRY_LAST_MS = 250;

/** A topic made a moment ago may be unknown to the broker that is asked. */
export const UNKNOWN_TOPIC_WITHIN_MS = 1_000;
/**
 * A broker that hung, or is late, tells for so long what was so before: which topic has a name, and
 * where a partition ended that another leads by now (120 ms were seen).
 */
export const OUTDATED_WITHIN_MS = 2_000;
/** A broker's word is refuted for so long: another is asked, while there is time for its word. */
export const ASK_ANOTHER_AFTER_MS = 500;

/** What was sent is sent again for so long, then its outcome is unknown: a client waits for it. */
export const APPEND_WITHIN_MS = 8_000;
/** What was not sent is refused after so long without a leader. */
export const UNAVAILABLE_AFTER_MS = 3_000;
/** The broker's own wait for its replicas. Less than a request's, so that it answers itself. */
export const REPLICATE_WITHIN_MS = 4_000;

/** A broker ends an open transaction of a killed owner after this: readers wait so long. */
export const TRANSACTION_TIMEOUT_MS = 10_000;
/** A commit is tried for so long: below the transaction's timeout, which would fence it. */
export const COMMIT_WITHIN_MS = 8_000;
/**
 * Between two transactions of a member. Without it there are half as many again, each with less,
 * and on two busy cores a third fewer commits get through; longer, and each commit waits for it.
 */
export const GATHER_MS = 5;
/**
 * The next transaction must wait until the markers of the last are written: some milliseconds,
 * longer the busier the broker is, and half a minute where another broker hangs.
 */
export const CONCURRENT_FIRST_MS = 2;
export const CONCURRENT_LAST_MS = 100;

/**
 * Between two transactions of a member that write the group's offsets, too: two requests and a
 * marker more, for what other tools look at every some seconds.
 */
export const OFFSETS_EVERY_MS = 1_000;
/** When they could not be written: commits must not be held up for them time and again. */
export const OFFSETS_AGAIN_MS = 5_000;
/** A group's coordinator that does not answer within this gets none; the commit waits so long. */
export const OFFSETS_ANSWER_MS = 500;

/** A member that was not heard of for so long loses its partitions. */
export const SESSION_MS = 6_000;
/** Several within a session, and how soon a member hears of a rebalance. */
export const HEARTBEAT_EVERY_MS = 500;
/** Members come back to a rebalance after a heartbeat; a stopped one ends with its session. */
export const REBALANCE_MS = 10_000;
/** A member that was fenced comes again after up to this, so that two do not fence in turns. */
export const REJOIN_JITTER_MS = 400;
/** What is revoked is waited for so long: a batch and its commit. Then it is fenced. */
export const RELEASE_WITHIN_MS = 3_000;
/** A member that leaves says so for so long; else its session must pass. */
export const LEAVE_WITHIN_MS = 1_000;
/** How often a stand-in looks whether a member serves its group. */
export const STAND_IN_LOOKS_EVERY_MS = 500;

/** A fetch waits so long for records. */
export const FETCH_WAIT_MS = 1_000;
/** A fetch with the way to its broker: to connect, to log in, to be answered, and a second. */
export const FETCH_WITHIN_MS = CONNECT_MS + AUTHENTICATE_MS + REQUEST_MS + 1_000;
/** Between looks at a partition that came too late for such a fetch. */
export const LOOK_FIRST_MS = 1;
export const LOOK_LAST_MS = 64;
/** Of one partition, in one fetch. A larger batch comes whole all the same (KIP-74). */
export const FETCH_PARTITION_BYTES = 1_048_576;
/** Of one fetch. */
export const FETCH_BYTES = 16_777_216;
/** Read ahead in one partition until so much is unread, as it came: mostly compressed. */
export const READ_AHEAD_BYTES = 1_048_576;
/**
 * Decompressed for a reader at once, and one batch more at most: records that repeat each other
 * take a hundred times their compressed bytes, and a process reads dozens of partitions.
 */
export const TAKE_BYTES = 4_194_304;

/**
 * Nothing is written by a machine whose clock is ahead of the brokers' by more: groups refuse what
 * is 5 minutes ahead of its record's time.
 */
export const CLOCK_AHEAD_MS = 240_000;
/** While that is so, brokers are asked for their time no more often: an answer costs a record. */
export const CLOCK_AGAIN_MS = 1_000;
/** Of one partition in one request: below the broker's 1 MB, and what a reader can take. */
export const BATCH_BYTES = 512_000;
/** A topic takes batches of so much, the brokers' own default: the largest record is one alone. */
export const MAX_MESSAGE_BYTES = 1_048_588;
/** Records that wait to be sent; then `busy`. */
export const QUEUE_BYTES = 33_554_432;
/** Batches smaller than this are sent as they are. */
export const COMPRESS_FROM_BYTES = 1_024;
