/** What a wizard says while it works, in D4.2's words (§5.1, §5.2) where it has them. */
import { describeChangeEvent } from '../change-sayings.ts';
import type { Difference } from '../decisions.ts';
import type { DomainFinding } from '../domain-proof.ts';
import type { WizardEvent } from '../options.ts';

type Sayings = {
  readonly [Name in WizardEvent['event']]: (event: Extract<WizardEvent, { event: Name }>) => string;
};

const SAYINGS: Sayings = {
  registered: ({ peerId }) => `Registered peer with PEER_ID: ${peerId}`,
  troubled: ({ trouble }) =>
    trouble === null ? 'That went through now' : `It is tried again: ${trouble}`,
  invitations: ({ invitations }) =>
    ['Send invitations to peers:', ...invitations.map((one) => `  ${one}`)].join('\n'),
  proposed: ({ terms }) =>
    `${terms.coordinator} proposes "${terms.mixnetName}": ${JSON.stringify(terms.params)}, ${describeRule(terms.rule)}`,
  joined: ({ joined, invited }) => `${joined} of ${invited} invited peers have joined`,
  founded: ({ mixnetId }) => `Negotiation finished successfully. Created combined peer ${mixnetId}`,
  'nodes-named': ({ named, owners }) => `${named} of ${owners} owners have named their nodes`,
  'few-mixes': ({ available, needed }) =>
    `Attention: some routes find ${available} mixes of other owners instead of ${needed}`,
  'gateway-opened': ({ terms }) =>
    `Created endpoint ${terms.endpointId}: ${terms.sizeMin} to ${terms.sizeMax} messages a cycle`,
  'stop-opened': ({ terms }) =>
    `Created our endpoint: ${terms.sizeMin} to ${terms.sizeMax} messages a cycle`,
  'nodes-agreed': ({ nodes }) => `All owners signed the list of ${nodes.length} nodes`,
  sent: ({ what, contribution }) => `${SENT[what]}: ${contribution}`,
  'invitations-pending': ({ invitations }) =>
    `Invitations pending: ${invitations.map(shortInvitation).join(', ')}`,
  'contribution-pending': ({ from }) => `Contribution pending from: ${from.join(', ')}`,
  'all-agreed': ({ stage }) =>
    stage === 'founding'
      ? 'All invited peers have joined. Sending accept contribution.'
      : 'All peer owners have agreed. Sending accept contribution.',
  'no-consensus-yet': () => 'No consensus yet.',
  consensus: ({ consensusId }) => `Consensus reached: ${consensusId}`,
  counter: ({ from, differences, outcome }) =>
    `${shortPeer(from)} proposes ${describeDifferences(differences).join(', ')}: ${outcome}`,
  without: ({ peers }) => `Going on without ${peers.map(shortPeer).join(', ')}`,
  'left-out': ({ nodes }) =>
    `The others have named ${nodes.length} nodes without yours, as you did not answer: a later change may add it`,
  'own-domains': ({ domains }) => domains.map(ownDomain).join('\n'),
  change: ({ change }) => describeChangeEvent(change),
};

/** D4.2 §5 calls the first one so, and the accepting ones. */
const SENT = {
  proposal: 'Your initial proposal is contribution',
  accept: 'Your new contribution id is',
  answer: 'Sent answer contribution',
  counter: 'Sent counter-proposal contribution',
  abort: 'Sent abort contribution',
} as const;

/** One sentence, or several lines, for each event. */
export function describe(event: WizardEvent): string {
  const say = SAYINGS[event.event] as (event: WizardEvent) => string;
  return say(event);
}

/** A rule in words. */
export function describeRule(rule: 'all' | { readonly m: number; readonly n: number }): string {
  return rule === 'all' ? 'all owners sign' : `${rule.m} of ${rule.n} owners sign`;
}

/** What differs, a line each. */
export function describeDifferences(differences: readonly Difference[]): string[] {
  return differences.map(
    ({ name, ours, theirs }) => `${name}: ${plain(theirs)} instead of ${plain(ours)}`,
  );
}

/** What DNS says of a domain, for whoever is to sign it. */
export function describeDomain(finding: DomainFinding): string {
  const record = `_panoramix.${finding.domain} TXT`;
  const confirmed = finding.confirmed ? '; confirmed by hand' : '';
  switch (finding.outcome) {
    case 'proved':
      return `${finding.domain}: proved by ${record}`;
    case 'other-peer':
      return `${finding.domain}: NOT proved, ${record} names ${finding.found.join(', ')}${confirmed}`;
    case 'no-record':
      return `${finding.domain}: NOT proved, there is no ${record}${confirmed}`;
    case 'server-failed':
      return `${finding.domain}: NOT proved, the DNS servers fail at ${record}${confirmed}`;
    case 'unreachable':
      return `${finding.domain}: NOT proved, no DNS server answers${confirmed}`;
    default:
      return finding.outcome satisfies never;
  }
}

function ownDomain(finding: DomainFinding): string {
  if (finding.outcome === 'proved') return describeDomain(finding);
  return `${describeDomain(finding)}\nPublish: _panoramix.${finding.domain}. TXT "${finding.peerId}"; the others look for it before they sign`;
}

function shortPeer(peerId: string): string {
  return `${peerId.slice(0, 16)}…`;
}

/** The half that is no secret: which negotiation, and the beginning of the token. */
function shortInvitation(invitation: string): string {
  return `${invitation.split('|')[1]?.slice(0, 8) ?? ''}…`;
}

function plain(value: unknown): string {
  if (value === null) return 'none';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
