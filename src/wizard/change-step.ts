/**
 * What all who take part in a change do alike: look at the mixnet from its id, say words, sign one text and
 * never two, apply what was agreed. Every step can be repeated after a kill -9.
 */
import { acceptedText, contributionText, type ContributionMeta } from '../api/contribution.ts';
import { bodyOf, retrying, type Draft, type Party } from '../client/agree.ts';
import { fingerprintOf } from '../client/fingerprint.ts';
import { readMeeting, type Meeting, type Statement } from '../client/meeting.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import { readFoundation } from '../mixnet/verify-log.ts';
import type { ChangeGround } from './change-text.ts';
import { partiesOf } from './change-text.ts';
import { describeChange, differencesOf, newDomains } from './change-describe.ts';
import type { ChangeOptions } from './change-options.ts';
import type { Standing } from './change-wish.ts';
import type { AcceptDomains, Abort, ChangeChanges, Counter, Person } from './decisions.ts';
import type { DomainFinding } from './domain-proof.ts';
import { partyOf } from './options.ts';

/** Where texts that we have signed are kept: of each negotiation one. */
export interface SignedTexts {
  read(): { readonly signed: Readonly<Record<string, string>> } | null;
  sign(negotiationId: string, text: string): void;
}

/** Who changes, as a party of negotiations. */
export function partyOfChange(options: ChangeOptions): Party {
  const { progress: _, ...peer } = options;
  return partyOf(peer);
}

/**
 * The mixnet as its controller shows it, verified from the id.
 * @throws PanoramixError `answer-malformed` where it does not verify
 */
export async function readGround(party: Party, mixnetId: string): Promise<ChangeGround> {
  const json = await retrying(party, () => party.client.getNodes(mixnetId));
  const read = readFoundation(json, mixnetId, party.primitives);
  if (!read.ok) throw new PanoramixError('answer-malformed', `nodes.json: ${read.reason}`);
  const { log, present } = read.foundation;
  const [logHead, entry] = [...log].at(-1) as [string, Standing['entry']];
  const ids = (json as { log: { consensus: string }[] }).log.map((record) => record.consensus);
  return {
    mixnetId,
    name: present.name,
    logHead,
    lastConsensusId: ids.at(-1) as string,
    consensusIds: new Set(ids),
    params: present.params,
    standing: { entry, owners: present.owners, rule: present.rule },
  };
}

/** As `client/meeting.ts`, as often as it takes. */
export async function look(party: Party, negotiationId: string): Promise<Meeting> {
  return await retrying(party, () => readMeeting(party.client, party.primitives, negotiationId));
}

/** Says something that binds nobody. @returns false where the negotiation has ended */
export async function sayWord(
  party: Party,
  meeting: Meeting,
  draft: Draft,
  meta: Partial<ContributionMeta> = {},
): Promise<boolean> {
  const body = bodyOf(party, meeting, meeting, draft, { ...meta, accept: false });
  return await contribute(party, meeting.negotiationId, contributionText(body));
}

/** The text that all shall sign. */
export function composeText(party: Party, meeting: Meeting, draft: Draft): string {
  return acceptedText(
    party.primitives,
    bodyOf(party, meeting, meeting, draft, { accept: true }),
    [],
  );
}

/** Signs a text for good: on disk first, so that after a crash the same one is sent again. */
export async function signText(
  party: Party,
  file: SignedTexts,
  negotiationId: string,
  text: string,
): Promise<void> {
  const before = file.read()?.signed[negotiationId];
  if (before !== undefined && before !== text) {
    throw new PanoramixError('agreement-foreign', 'we have signed another text there');
  }
  if (before === undefined) file.sign(negotiationId, text);
  await contribute(party, negotiationId, text);
}

/** What we signed in a negotiation, said again where the controller does not show it as our last word. */
export async function repeatSigned(
  party: Party,
  file: SignedTexts,
  meeting: Meeting,
): Promise<boolean> {
  const text = file.read()?.signed[meeting.negotiationId];
  if (text === undefined) return false;
  const own = meeting.statements.some(
    (said) => said.latest && said.signer === party.peerId && said.text === text,
  );
  if (!own && meeting.consensus === null) await contribute(party, meeting.negotiationId, text);
  return true;
}

/** The id of the consensus that an agreed change was made on: on any other it cannot be applied. */
export function baseOf({ body }: NonNullable<Meeting['consensus']>): string {
  return (body.info as { on_last_consensus_id: string }).on_last_consensus_id;
}

/**
 * Applies an agreed change, which another owner may have done already.
 * @returns false where another change came first, so that this one never will be applied
 */
export async function applyChange(
  party: Party,
  mixnetId: string,
  consensus: NonNullable<Meeting['consensus']>,
): Promise<boolean> {
  const decision = {
    consensusId: consensus.consensusId,
    onLastConsensusId: baseOf(consensus),
  };
  return await retrying(party, async () => {
    try {
      await party.client.updatePeer(mixnetId, consensus.body.data, decision);
      return true;
    } catch (error) {
      const { temporary, code } = asPanoramixError(error);
      if (temporary) throw error;
      const ground = await readGround(party, mixnetId);
      if (ground.consensusIds.has(consensus.consensusId)) return true;
      if (code === 'consensus-not-last' || code === 'chain-broken') return false;
      throw error;
    }
  });
}

/** Who has signed the same text last, among those who may. */
export function signersOf(
  meeting: Meeting,
  text: string,
  before: Standing,
  after: Standing,
): string[] {
  const { signers } = partiesOf(before, after);
  return meeting.statements
    .filter((said) => said.latest && said.text === text && signers.includes(said.signer))
    .map((said) => said.signer);
}

/**
 * What DNS says of the domains that a change brings or moves, before anybody is asked. One that is no more
 * than claimed is not signed, unless the operator vouches for it.
 */
export async function proofsOf(
  options: ChangeOptions,
  before: Standing,
  after: Standing,
): Promise<readonly DomainFinding[]> {
  const claims = newDomains(before, after);
  return claims.length === 0 ? [] : await options.proveDomains(claims);
}

/** The first domain that nothing speaks for, as a sentence, or null. Our own are our own affair. */
export function refuseDomains(
  findings: readonly DomainFinding[],
  confirmed: readonly string[] = [],
): string | null {
  const unproved = findings.find(
    ({ domain, outcome, confirmed: vouched, own }) =>
      !own && outcome !== 'proved' && !vouched && !confirmed.includes(domain),
  );
  if (!unproved) return null;
  const { domain, peerId, outcome, found } = unproved;
  const says = found.length === 0 ? '' : ` (found: ${found.join(', ')})`;
  return `_panoramix.${domain} does not name ${peerId.slice(0, 8)}…: ${outcome}${says}`;
}

/** A composed change, put before the operator. */
export async function askAbout(
  options: ChangeOptions,
  ground: ChangeGround,
  after: Standing,
  said: { readonly statement: Statement; readonly domains: readonly DomainFinding[] },
  more: { readonly notAdopted?: boolean; readonly unusable?: string | null } = {},
): Promise<AcceptDomains | Abort | Counter<ChangeChanges>> {
  const { identity, primitives, decisions, signal } = options;
  const { statement, domains } = said;
  const { standing: before } = ground;
  const person = (peerId: string): Person => ({
    peerId,
    fingerprint: fingerprintOf(primitives, peerId),
    isSelf: peerId === identity.peerId,
    isCoordinator: peerId === statement.signer,
  });
  return await decisions.change(
    {
      mixnetId: ground.mixnetId,
      proposer: person(statement.signer),
      before: before.entry,
      after: after.entry,
      ownersBefore: before.owners.map(person),
      ownersAfter: after.owners.map(person),
      ruleBefore: before.rule,
      ruleAfter: after.rule,
      differences: differencesOf(describeChange(before, after)),
      domains,
      contribution: statement.id,
      round: statement.body.meta.round,
      changed: [],
      notAdopted: more.notAdopted ?? false,
      unusable: more.unusable ?? null,
    },
    signal ?? new AbortController().signal,
  );
}

async function contribute(party: Party, negotiationId: string, text: string): Promise<boolean> {
  return await retrying(party, async () => {
    try {
      await party.client.contribute(negotiationId, text);
      return true;
    } catch (error) {
      // The others were faster: the next look shows what came of it.
      if (asPanoramixError(error).code === 'negotiation-done') return false;
      throw error;
    }
  });
}
