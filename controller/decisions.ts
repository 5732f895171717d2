/**
 * What a consensus allows (D4.2 §6.2): one request, whose `data` and `info` are what was agreed, applied
 * once. The same body again gets the first answer, so that a wizard that lost a 201 resumes; another
 * body is refused. Peers and endpoints are made and changed through here alone.
 */
import { canonicalText } from '../src/api/canonical.ts';
import { parseContributionText } from '../src/api/contribution.ts';
import { agreedPart, type ConsensusRecord } from '../src/api/negotiation.ts';
import { hashText, type VerifiedRequest } from '../src/api/signed.ts';
import { PanoramixError } from '../src/errors.ts';
import { allow, type ControllerContext, refuse, ruled, type Ruled } from './context.ts';
import type { Change } from './documents.ts';
import { DONE_MS_MAX } from './negotiations/rules.ts';
import { recordKept, readNegotiation } from './negotiations/store.ts';

/** A consensus that fits a request and has not been used. */
export interface Agreed {
  readonly record: ConsensusRecord;
  /** Keys that signed, sorted. */
  readonly signers: readonly string[];
  /** Who asks for it to be applied; one of the signers. */
  readonly applicant: string;
}

/** What a use of a consensus left: which body, and what was answered. */
interface Use {
  readonly bodyHash: string;
  readonly answer: unknown;
}

/** What a resource makes of an agreed request. */
export interface Applied {
  readonly change: Change;
  /** `data` of the answer, now and in every repeat. */
  readonly answer: unknown;
  /** Who goes by the consensus record, so that it is kept: a peer for good, an endpoint while it lasts. */
  readonly keeper: { readonly name: string; readonly forGood: boolean } | null;
}

/**
 * Carries out an agreed request, once.
 * @param apply reads what it needs and says what shall be; called again where somebody came in between
 * @returns `data` of the answer
 */
export async function carryOut(
  context: ControllerContext,
  request: VerifiedRequest,
  apply: (agreed: Agreed) => Promise<Applied>,
): Promise<unknown> {
  const { documents, primitives, now } = context;
  const by = request.by_consensus;
  if (by === undefined) throw new PanoramixError('consensus-missing', 'no by_consensus');
  const body = canonicalText({ data: request.data, info: request.info });
  const bodyHash = hashText(primitives, body);
  const usedKey = documents.key('used', by.consensus_id, by.consensus_part ?? 'whole');
  return await documents.untilCommitted(async () => {
    const used = await documents.read<Use>(usedKey);
    if (used.value !== null) return ruled(repeatedAnswer(used.value, bodyHash));
    const negotiation = await readNegotiation(documents, by.consensus_id);
    const record = negotiation.value?.record ?? null;
    const agreed = ruled(checkAgreed(request, record, body, now()));
    const applied = await apply(agreed).catch(async (thrown: unknown) => {
      // Refused perhaps because an equal request came in between: then its answer is ours too.
      const reread = await documents.read<Use>(usedKey);
      if (reread.version === used.version) throw thrown;
      return 'overtaken' as const;
    });
    if (applied === 'overtaken') return 'conflict';
    const { change, answer, keeper } = applied;
    const value: Use = { bodyHash, answer };
    const kept = keeper ? [recordKept(documents, agreed.record, keeper.name, null)] : [];
    const committed = await documents.commit({
      ...change,
      expect: [...(change.expect ?? []), used],
      put: [
        ...(change.put ?? []),
        { key: usedKey, value, ttlMs: keeper?.forGood ? null : DONE_MS_MAX },
      ],
      keeps: [...kept, ...(change.keeps ?? [])],
    });
    if (committed === 'limit') throw new PanoramixError('endpoints-too-many', 'of this peer');
    return committed === 'done' ? answer : 'conflict';
  });
}

/** Whether a record is the agreement of its signers to a request; pure. */
export function checkAgreed(
  request: VerifiedRequest,
  record: ConsensusRecord | null,
  requestBody: string,
  nowMs: number,
): Ruled<Agreed> {
  const text = record === null ? null : parseContributionText(record.text);
  if (record === null || text === null) return refuse('consensus-unknown');
  const part = agreedPart(text, request.by_consensus?.consensus_part);
  if (part === null || canonicalText({ data: part.data, info: part.info }) !== requestBody) {
    return refuse('consensus-mismatch');
  }
  if (text.meta.expires !== undefined && Date.parse(text.meta.expires) <= nowMs) {
    return refuse('consensus-expired');
  }
  // A record may outlive what we remember of its use: kept by something else that it made, part by part.
  if (Date.parse(record.timestamp) + DONE_MS_MAX <= nowMs) return refuse('consensus-expired');
  const signers = record.signings.map((signing) => signing.signer_key_id);
  if (!signers.includes(request.signer)) return refuse('not-a-signer');
  return allow({ record, signers, applicant: request.signer });
}

function repeatedAnswer(use: Use, bodyHash: string): Ruled<unknown> {
  return use.bodyHash === bodyHash ? allow(use.answer) : refuse('consensus-used');
}

/** Whether everybody who must sign has signed, and nobody else. */
export function isAgreedBy(
  signers: readonly string[],
  owners: readonly string[],
  needed: number,
): boolean {
  return signers.length >= needed && signers.every((signer) => owners.includes(signer));
}
