/** What a wizard says while it works, in D4.2's words (§5.1, §5.2) where it has them. */
import type { Difference } from '../decisions.ts';
import type { DomainFinding } from '../domain-proof.ts';
import type { NegotiationEvent, WizardEvent } from '../options.ts';

/** One sentence, or several lines, for each event. */
export function describe(event: WizardEvent): string {
  switch (event.event) {
    case 'registered':
      return `Registered peer with PEER_ID: ${event.peerId}`;
    case 'invitations':
      return ['Send invitations to peers:', ...event.invitations.map((one) => `  ${one}`)].join(
        '\n',
      );
    case 'proposed':
      return `${event.terms.coordinator} proposes "${event.terms.mixnetName}": ${JSON.stringify(event.terms.params)}, rule ${describeRule(event.terms.rule)}`;
    case 'joined':
      return `${event.joined} of ${event.invited} invited peers have joined`;
    case 'founded':
      return `Negotiation finished successfully. Created combined peer ${event.mixnetId}`;
    case 'nodes-named':
      return `${event.named} of ${event.owners} owners have named their nodes`;
    case 'few-mixes':
      return `Attention: some routes find ${event.available} mixes of other owners instead of ${event.needed}`;
    case 'gateway-opened':
      return `Created endpoint ${event.terms.endpointId}: ${event.terms.sizeMin} to ${event.terms.sizeMax} messages a cycle`;
    case 'stop-opened':
      return `Created our endpoint: ${event.terms.sizeMin} to ${event.terms.sizeMax} messages a cycle`;
    case 'nodes-agreed':
      return `All owners signed the list of ${event.nodes.length} nodes`;
    default:
      return describeNegotiation(event);
  }
}

function describeNegotiation(event: NegotiationEvent): string {
  switch (event.event) {
    case 'sent':
      return sent(event.what, event.contribution);
    case 'invitations-pending':
      return `Invitations pending: ${event.invitations.map(shortInvitation).join(', ')}`;
    case 'contribution-pending':
      return `Contribution pending from: ${event.from.join(', ')}`;
    case 'all-agreed':
      return event.stage === 'founding'
        ? 'All invited peers have joined. Sending accept contribution.'
        : 'All peer owners have agreed. Sending accept contribution.';
    case 'no-consensus-yet':
      return 'No consensus yet.';
    case 'consensus':
      return `Consensus reached: ${event.consensusId}`;
    case 'counter':
      return `${event.from.slice(0, 16)}… proposes ${describeDifferences(event.differences).join(', ')}: ${event.outcome}`;
    case 'without':
      return `Going on without ${event.peers.map((peer) => `${peer.slice(0, 16)}…`).join(', ')}`;
    case 'own-domains':
      return event.domains.map(ownDomain).join('\n');
    default:
      return event satisfies never;
  }
}

function sent(
  what: Extract<NegotiationEvent, { event: 'sent' }>['what'],
  contribution: number,
): string {
  switch (what) {
    case 'proposal':
      return `Your initial proposal is contribution: ${contribution}`;
    case 'accept':
      return `Your new contribution id is: ${contribution}`;
    default:
      return `Sent ${what} contribution ${contribution}`;
  }
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

/** The half that is no secret: which negotiation, and the beginning of the token. */
function shortInvitation(invitation: string): string {
  return `${invitation.split('|')[1]?.slice(0, 8) ?? ''}…`;
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
