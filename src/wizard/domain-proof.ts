/**
 * Whether a mail domain is a peer's: before an owner signs a domain that is new in the log, its wizard
 * looks for `_panoramix.DOMAIN TXT peer_id` (design §8).
 */

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
