/**
 * Whether a mail domain is a peer's: before an owner signs a domain that is new in the log, its wizard
 * looks for `_panoramix.DOMAIN TXT peer_id` (design §8). Resolvers follow CNAMEs, so that a provider may keep the
 * record elsewhere. What DNS cannot show an operator may confirm by hand.
 */
import { Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { peerId as peerIdShape, title } from '../api/fields.ts';

/** What DNS says of one domain. */
export type DomainOutcome =
  /** The record names the peer. */
  | 'proved'
  /** Records are there, and they name others. */
  | 'other-peer'
  /** The name has no such record, or does not exist. */
  | 'no-record'
  /** The servers answer with an error (SERVFAIL, REFUSED), as for a broken DNSSEC chain. */
  | 'server-failed'
  /** No server answered in time. */
  | 'unreachable';

/** One domain of one node, and what speaks for it. */
export interface DomainFinding {
  readonly domain: string;
  /** Whose node is to serve it. */
  readonly peerId: string;
  readonly outcome: DomainOutcome;
  /** What the record says where it is another's; shortened, printable. */
  readonly found: readonly string[];
  /** In `mixnet.confirmed_domains`: the operator vouches for it by hand. */
  readonly confirmed: boolean;
  /** A domain of our own node: looked up too, and only warned about. */
  readonly own: boolean;
}

/** A domain, and the peer that is to serve it. */
export interface DomainClaim {
  readonly domain: string;
  readonly peerId: string;
}

/** How domains are looked up. */
export interface DomainOptions {
  /** IP:PORT of the servers that are asked; default the system's. */
  readonly servers?: readonly string[];
  /** Domains for which the operator vouches. */
  readonly confirmed?: readonly string[];
  /** How long one server has for one answer; default 3 s, and as long again once. */
  readonly timeoutMs?: number;
}

/** The label under which a domain says whose it is. */
const LABEL = '_panoramix';
const TIMEOUT_MS_DEFAULT = 3_000;
const TRIES = 2;
/** Where nothing depends on the answer nobody waits long for it. */
const TIMEOUT_MS_CONFIRMED = 1_000;
/** A gateway may have 10,000 domains: as many at once as a resolver takes without dropping any. */
const LOOKUPS_AT_ONCE = 16;
/** Of what a stranger's zone says, as much as an operator needs to see. */
const FOUND_MAX = 3;
const FOUND_LENGTH_MAX = 80;

/** Errors of DNS itself; the rest means that nobody has answered. */
const NO_RECORD = new Set(['ENOTFOUND', 'ENODATA']);
const SERVER_FAILED = new Set(['ESERVFAIL', 'EREFUSED', 'EFORMERR', 'ENOTIMP', 'EBADRESP']);

/**
 * Looks up all domains.
 * @param own our own peer id, whose domains are looked up too
 * @returns findings in the order of the claims; a lookup never throws
 */
export async function proveDomains(
  claims: readonly DomainClaim[],
  own: string,
  options: DomainOptions = {},
): Promise<DomainFinding[]> {
  const findings: DomainFinding[] = [];
  let next = 0;
  const work = async (): Promise<void> => {
    for (let index = next++; index < claims.length; index = next++) {
      findings[index] = await prove(claims[index] as DomainClaim, own, options);
    }
  };
  await Promise.all(Array.from({ length: Math.min(LOOKUPS_AT_ONCE, claims.length) }, work));
  return findings;
}

/** Whether nothing speaks for a domain: neither DNS nor the operator, and it is not our own. */
export function isUnproved({ outcome, confirmed, own }: DomainFinding): boolean {
  return outcome !== 'proved' && !confirmed && !own;
}

/** What was found instead of a proof, as a sentence for operators. */
export function whyUnproved({ domain, peerId, outcome, found }: DomainFinding): string {
  const name = `${LABEL}.${domain} TXT`;
  switch (outcome) {
    case 'proved':
      return `${name} names ${peerId.slice(0, 8)}…`;
    case 'other-peer':
      return `${name} does not name ${peerId.slice(0, 8)}… but ${found.join(', ')}`;
    case 'no-record':
      return `there is no ${name}`;
    case 'server-failed':
      return `the DNS server fails for ${name}`;
    case 'unreachable':
      return `no DNS server answers for ${name}`;
    default:
      return outcome satisfies never;
  }
}

async function prove(
  { domain, peerId }: DomainClaim,
  own: string,
  { servers, confirmed = [], timeoutMs = TIMEOUT_MS_DEFAULT }: DomainOptions,
): Promise<DomainFinding> {
  const about = {
    domain,
    peerId,
    confirmed: confirmed.some((name) => name.toLowerCase() === domain),
    own: peerId === own,
  };
  const isMerelyShown = about.confirmed || about.own;
  const resolver = new Resolver(
    isMerelyShown
      ? { timeout: Math.min(timeoutMs, TIMEOUT_MS_CONFIRMED), tries: 1 }
      : { timeout: timeoutMs, tries: TRIES },
  );
  try {
    if (servers && servers.length > 0) resolver.setServers(servers.map(serverText));
    const records = await resolver.resolveTxt(`${LABEL}.${domain}`);
    return { ...about, ...readRecords(records, peerId) };
  } catch (error) {
    return { ...about, outcome: outcomeOf(error), found: [] };
  }
}

/** Several records may stand there while a domain changes hands: one that names the peer proves. */
function readRecords(
  records: readonly (readonly string[])[],
  peerId: string,
): Pick<DomainFinding, 'outcome' | 'found'> {
  // A record longer than 255 bytes comes in chunks (RFC 7208 §3.3 joins them likewise, without spaces).
  const texts = records.map((chunks) => chunks.join('').trim().toLowerCase());
  if (texts.includes(peerId)) return { outcome: 'proved', found: [] };
  if (texts.length === 0) return { outcome: 'no-record', found: [] };
  return { outcome: 'other-peer', found: texts.slice(0, FOUND_MAX).map(shown) };
}

function shown(text: string): string {
  if (peerIdShape.safeParse(text).success) return `${text.slice(0, 8)}…`;
  const short = text.slice(0, FOUND_LENGTH_MAX);
  return title.safeParse(short).success ? `"${short}"` : 'something unprintable';
}

function outcomeOf(error: unknown): DomainOutcome {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (NO_RECORD.has(code)) return 'no-record';
  return SERVER_FAILED.has(code) ? 'server-failed' : 'unreachable';
}

/** IPv6 with a port stands in brackets. */
function serverText(server: string): string {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(server) ?? [];
  return isIP(host) === 6 ? `[${host}]:${port}` : server;
}
