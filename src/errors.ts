/**
 * The one error class, and the one table from which SMTP reply, HTTP status and retry come.
 * A code is a named reason: the same word in log, metric, answer and test. What is not in the
 * table is `unexpected`, and temporary: a bug delays mail, it never loses or bounces it.
 */

interface ErrorRow {
  /** Whether trying again later may succeed. */
  readonly temporary: boolean;
  /** HTTP status where the controller answers with this reason (RFC 9457). */
  readonly http: number;
  /** Enhanced status code without its class digit (RFC 3463 §2); the class follows `temporary`. */
  readonly enhanced: string;
  /** What a peer is told: generic, without addresses, keys or routes. */
  readonly text: string;
}

/** A row of the controller's: HTTP alone tells its reasons to anybody, SMTP never does. */
function refusal(http: number, text: string, temporary = false): ErrorRow {
  return { temporary, http, enhanced: '4.0', text };
}

/** Every reason that code may throw with; rows of one area stand together. */
export const ERRORS = {
  unexpected: { temporary: true, http: 500, enhanced: '3.0', text: 'Unexpected condition' },
  'config-invalid': { temporary: false, http: 500, enhanced: '3.5', text: 'Not configured' },

  'redis-unavailable': {
    temporary: true,
    http: 503,
    enhanced: '3.0',
    text: 'Storage is not available',
  },
  'redis-unsafe': { temporary: false, http: 500, enhanced: '3.5', text: 'Storage would lose mail' },
  'storage-pressure': {
    temporary: true,
    http: 503,
    enhanced: '3.1',
    text: 'Storage is nearly full',
  },

  // Of the files beside Redis: what could not be written is tried again, and mail waits meanwhile.
  'disk-full': { temporary: true, http: 503, enhanced: '3.1', text: 'Storage is nearly full' },
  'disk-unwritable': {
    temporary: true,
    http: 503,
    enhanced: '3.0',
    text: 'Storage is not available',
  },

  // Of a storage that all senders share, one has as much as is left for the others.
  'sender-backlog': {
    temporary: true,
    http: 503,
    enhanced: '3.1',
    text: 'Too much mail of this sender waits',
  },

  'controller-unreachable': {
    temporary: true,
    http: 502,
    enhanced: '4.1',
    text: 'Controller does not answer',
  },
  // Its certificate is not believed: like one that does not answer, until its operator has put it right.
  'tls-untrusted': refusal(502, 'Controller has a certificate of an unknown authority', true),
  'tls-expired': refusal(502, 'Controller has a certificate that has expired', true),
  'tls-name-mismatch': refusal(502, 'Controller has a certificate for another name', true),
  'url-insecure': refusal(400, 'Plain HTTP to another host'),

  'directory-unusable': {
    temporary: true,
    http: 503,
    enhanced: '4.4',
    text: 'Mixnet directory is not available',
  },

  'mail-too-large': {
    temporary: false,
    http: 413,
    enhanced: '3.4',
    text: 'Message is larger than this mixnet carries',
  },

  'listen-failed': {
    temporary: true,
    http: 500,
    enhanced: '3.0',
    text: 'Address cannot be listened on',
  },

  // The controller's: what it answers over HTTP, and its client throws again (src/client).
  'answer-malformed': refusal(502, 'Controller answers what it should not', true),
  'controller-lies': refusal(502, 'Controller says what was not agreed', true),
  'path-unknown': refusal(404, 'No such path'),
  'method-refused': refusal(405, 'Method not allowed here'),
  'body-too-large': refusal(413, 'Request is too large'),
  'requests-too-many': refusal(503, 'Too many requests at once', true),
  'json-malformed': refusal(400, 'Not JSON that can be signed'),
  'request-malformed': refusal(400, 'Request has not the right shape'),
  'query-malformed': refusal(400, 'Query has not the right shape'),
  'signature-missing': refusal(403, 'Request is not signed'),
  'signature-invalid': refusal(403, 'Signature does not fit'),
  'request-stale': refusal(403, 'Request is too old, or from the future'),
  'clock-wrong': refusal(503, 'Clocks differ by more than five minutes', true),
  'catalog-foreign': refusal(403, 'Request is for another controller'),
  'key-foreign': refusal(403, 'Not the key of the one who signed'),
  'negotiation-unknown': refusal(404, 'No such negotiation'),
  'negotiation-done': refusal(409, 'Negotiation has ended'),
  'negotiation-full': refusal(409, 'Negotiation takes no more contributions'),
  'negotiations-too-many': refusal(429, 'Too many open negotiations of this key', true),
  'contribution-malformed': refusal(400, 'Text is no contribution'),
  'contribution-foreign': refusal(400, 'Text is for another negotiation'),
  'contribution-expired': refusal(409, 'Text has expired'),
  'not-a-signer': refusal(403, 'Not among the signers'),
  'consensus-missing': refusal(403, 'Needs a consensus'),
  'consensus-unknown': refusal(403, 'No such consensus'),
  'consensus-mismatch': refusal(403, 'Not what was agreed'),
  'consensus-insufficient': refusal(403, 'Not agreed by all who must agree'),
  'consensus-expired': refusal(403, 'What was agreed has expired'),
  'consensus-used': refusal(409, 'Consensus has been used for something else'),
  'consensus-not-last': refusal(409, 'Something else has been agreed since'),
  'peer-unknown': refusal(404, 'No such peer'),
  'peer-exists': refusal(409, 'Peer exists'),
  'peer-malformed': refusal(400, 'Peer does not fit its key'),
  'mixnet-unknown': refusal(404, 'No mixnet, or more than one'),
  'chain-broken': refusal(409, 'Does not name the text before it'),
  'directory-refused': refusal(400, 'Directory does not prove what it says'),
  'directory-older': refusal(409, 'A newer directory is here'),
  'directory-conflict': refusal(409, 'Another directory of this number is here'),
  'endpoint-unknown': refusal(404, 'No such endpoint'),
  'endpoint-exists': refusal(409, 'Endpoint exists'),
  'endpoint-id-foreign': refusal(403, 'Endpoint id is kept for another peer'),
  'endpoints-too-many': refusal(409, 'Peer has too many endpoints'),
  'endpoint-type-unknown': refusal(400, 'No such type of endpoint'),
  'endpoint-owners': refusal(400, 'Endpoint of this type has one owner'),
  'endpoint-closed': refusal(409, 'Endpoint is closed'),
  'endpoint-full': refusal(503, 'Endpoint is full', true),
  'status-refused': refusal(409, 'Endpoint cannot change to this status'),
  'last-message-mismatch': refusal(409, 'Not the last message'),
  'messages-unreleased': refusal(409, 'Endpoint still holds messages'),
  'batch-size': refusal(409, 'Too few or too many messages are named'),
  'message-missing': refusal(409, 'A message that is named is not in the box'),
  'box-refused': refusal(403, 'Box takes no messages from here'),
  'box-closed': refusal(409, 'Box takes no messages now'),
  'recipient-foreign': refusal(400, 'Recipient does not own the endpoint'),
  'sender-refused': refusal(403, 'Sender may not post here'),
  'reader-refused': refusal(403, 'Reader does not own the endpoint'),
  'readers-too-many': refusal(503, 'Too many readers wait', true),
  'address-too-fast': refusal(429, 'Too many requests from this address', true),
  'key-too-fast': refusal(429, 'Too many requests of this key', true),
  'endpoint-too-fast': refusal(429, 'Too many messages for this endpoint', true),

  // The owners': why a mixnet was not agreed on (src/client/agree.ts, src/wizard).
  'agreement-refused': refusal(409, 'A party does not sign what was composed'),
  'agreement-abandoned': refusal(409, 'Nobody can agree there any more', true),
  'agreement-foreign': refusal(409, 'Others agreed on something that we did not sign'),
  'agreement-aborted': refusal(409, 'A party stopped the negotiation'),
  'signer-equivocates': refusal(409, 'A party has signed two different texts'),
  'invitation-invalid': refusal(403, 'Invitation is not one of ours'),
  'invitation-used': refusal(403, 'Invitation has been used by another key'),
  'invitation-withdrawn': refusal(403, 'The coordinator went on without this invitation'),
  'domain-unproved': refusal(403, 'A domain does not show that it is its gateway’s'),
  // Somebody left a dialogue before its end; the next run goes on from there.
  'wizard-left': refusal(409, 'Left before the end'),

  // A batch cycle's: what an owner or a client does not go along with (src/mixnet/batch-cycle.ts names why).
  'cycle-refused': refusal(409, 'Batch cycle is not as it was agreed'),
  'mixnet-unverified': refusal(502, 'Mixnet does not prove what its controller says'),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** Thrown for I/O that failed and for bugs; never for what a peer may send (that is a value). */
export class PanoramixError extends Error {
  readonly code: ErrorCode;

  /**
   * @param code the reason, a row of `ERRORS`
   * @param detail for the log and the operator: what is wrong, where, and what to do
   * @param cause the error underneath
   */
  constructor(code: ErrorCode, detail: string, cause?: unknown) {
    super(`${code}: ${detail}`, cause === undefined ? undefined : { cause });
    this.name = 'PanoramixError';
    this.code = code;
  }

  get temporary(): boolean {
    return ERRORS[this.code].temporary;
  }

  get httpStatus(): number {
    return ERRORS[this.code].http;
  }

  /** Reply line without the message's own text, such as `451 4.3.0 Storage is not available`. */
  get smtpReply(): { readonly code: number; readonly text: string } {
    const row = ERRORS[this.code];
    return row.temporary
      ? { code: 451, text: `4.${row.enhanced} ${row.text}` }
      : { code: 554, text: `5.${row.enhanced} ${row.text}` };
  }
}

/** Whether a word is a code of the table, of what may be well again later. */
export function isTemporary(word: string): boolean {
  return Object.hasOwn(ERRORS, word) && ERRORS[word as ErrorCode].temporary;
}

/** Whether a controller was not to be had at all, for whatever reason: no answer of its own came. */
export function isUnreachable(code: ErrorCode): boolean {
  return code === 'controller-unreachable' || code.startsWith('tls-');
}

/** Any thrown value as a `PanoramixError`; what we do not know is `unexpected`, so temporary. */
export function asPanoramixError(thrown: unknown): PanoramixError {
  if (thrown instanceof PanoramixError) return thrown;
  const systemCode = (thrown as { readonly code?: unknown } | null | undefined)?.code;
  const code = OF_SYSTEM.get(systemCode) ?? 'unexpected';
  return new PanoramixError(code, wordsOf(thrown), thrown);
}

/** What the operating system says where a disk takes nothing. */
const OF_SYSTEM: ReadonlyMap<unknown, ErrorCode> = new Map([
  ['ENOSPC', 'disk-full'],
  ['EDQUOT', 'disk-full'],
  ['EROFS', 'disk-unwritable'],
  ['EIO', 'disk-unwritable'],
]);

/** What somebody else's error says, such as the operating system's: for the detail of one of ours. */
export function wordsOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
