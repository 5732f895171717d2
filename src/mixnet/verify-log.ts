/**
 * Verifies what a mixnet stands on, from its id alone: id -> founding text -> owners and rule -> log.
 * The snapshot on top is the business of verify-nodes.ts, or of the nodes that negotiate the next one.
 */
import { z } from 'zod';
import {
  verifyConsensus,
  type ConsensusReason,
  type VerifiedConsensus,
} from '../api/negotiation.ts';
import { ownershipAfter, refuseSigners, type Ownership } from '../api/peer.ts';
import { hashText } from '../api/signed.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { logEntry as logEntrySchema, parseMixnet } from './directory-texts.ts';
import type { Founding, LogEntry } from './directory-texts.ts';

const LOG_ENTRIES_MAX = 10_000;

/** Why a nodes.json was refused. */
export type DirectoryReason =
  | ConsensusReason
  | 'directory-malformed'
  | 'mixnet-mismatch'
  | 'change-foreign'
  | 'signer-unknown'
  | 'rule-not-met'
  | 'owner-unsigned'
  | 'founding-mismatch'
  | 'log-missing'
  | 'log-malformed'
  | 'log-broken'
  | 'snapshot-missing'
  | 'snapshot-malformed'
  | 'snapshot-log-mismatch'
  | 'snapshot-traffic-mismatch'
  | 'snapshot-lifetime-mismatch'
  | 'entry-foreign'
  | 'entry-repeated'
  | 'entry-number-mismatch'
  | 'entry-key-malformed'
  | 'entry-signature-invalid'
  | 'path-too-long'
  | 'lifetimes-unfit'
  | 'directory-not-yet-valid'
  | 'directory-expired';

const nodesSchema = z.strictObject({
  mixnet: z.string(),
  founding: z.unknown(),
  log: z.array(z.unknown()).max(LOG_ENTRIES_MAX),
  snapshot: z.unknown(),
});

/** A check that failed: unwinds to the function that answers with its reason, never further. */
export class Refusal extends Error {
  readonly reason: DirectoryReason;

  constructor(reason: DirectoryReason) {
    super(reason);
    this.reason = reason;
  }
}

/** What the owners have agreed on, verified, with the snapshot as it came. */
export interface Foundation {
  readonly terms: Founding;
  /** Consensus id of the founding. */
  readonly consensusId: string;
  /** Entries by the SHA-256 of their text, oldest first; the last is the head. */
  readonly log: ReadonlyMap<string, LogEntry>;
  /** Of each entry: who owns the mixnet from it on, and by which rule they sign. */
  readonly ownership: ReadonlyMap<string, Ownership>;
  /** The founding terms with the owners and the rule of the head. */
  readonly present: Founding;
  /** Unverified; null before the first. */
  readonly snapshot: unknown;
}

/**
 * Checks founding and log of a nodes.json.
 * @param json what a controller served, parsed
 * @param mixnetId 64 hex digits: all that is believed beforehand
 */
export function readFoundation(
  json: unknown,
  mixnetId: string,
  primitives: Primitives,
):
  | { readonly ok: true; readonly foundation: Foundation }
  | { readonly ok: false; readonly reason: DirectoryReason } {
  try {
    return { ok: true, foundation: verifyFoundation(json, mixnetId, primitives) };
  } catch (error) {
    if (error instanceof Refusal) return { ok: false, reason: error.reason };
    throw error;
  }
}

/** As `readFoundation`; throws `Refusal`. */
export function verifyFoundation(
  json: unknown,
  mixnetId: string,
  primitives: Primitives,
): Foundation {
  const nodes = nodesSchema.safeParse(json);
  if (!nodes.success) throw new Refusal('directory-malformed');
  check(nodes.data.mixnet === mixnetId, 'mixnet-mismatch');
  const { terms, consensusId } = verifyFounding(nodes.data.founding, mixnetId, primitives);
  const { log, ownership } = verifyLog(nodes.data.log, mixnetId, terms, primitives);
  const head = [...ownership.values()].at(-1);
  if (!head) throw new Refusal('log-missing');
  const present = { ...terms, owners: [...head.owners], rule: head.rule };
  return { terms, consensusId, log, ownership, present, snapshot: nodes.data.snapshot };
}

function verifyFounding(
  record: unknown,
  mixnetId: string,
  primitives: Primitives,
): { terms: Founding; consensusId: string } {
  const agreed = verifyRecord(record, primitives);
  const { data, info } = partsOf(agreed);
  check(info['resource'] === 'peer' && info['operation'] === 'create', 'founding-mismatch');
  const keyData = data['key_data'];
  if (typeof keyData !== 'string') throw new Refusal('founding-mismatch');
  check(hashText(primitives, keyData) === mixnetId, 'founding-mismatch');
  const terms = parseMixnet(keyData);
  if (!terms) throw new Refusal('founding-mismatch');
  // The founding needs everybody, whatever rule it sets for later.
  checkRule(agreed, { owners: terms.owners, rule: 'all' });
  return { terms, consensusId: agreed.consensusId };
}

/** All entries by the hash of their text, each signed by the rule of before and naming the one before. */
function verifyLog(
  records: readonly unknown[],
  mixnetId: string,
  terms: Founding,
  primitives: Primitives,
): { log: Map<string, LogEntry>; ownership: Map<string, Ownership> } {
  const log = new Map<string, LogEntry>();
  const ownership = new Map<string, Ownership>();
  let [previous, before]: [string, Ownership] = [mixnetId, terms];
  for (const record of records) {
    const agreed = verifyRecord(record, primitives);
    const parsed = logEntrySchema.safeParse(changeOf(agreed, mixnetId)['log']);
    if (!parsed.success) throw new Refusal('log-malformed');
    const after = ownershipAfter(before, parsed.data);
    check(
      parsed.data.nodes.every((node) => after.owners.includes(node.owner)),
      'log-malformed',
    );
    check(parsed.data.previous === previous, 'log-broken');
    const refused = refuseSigners(before, after, agreed.signers);
    if (refused) throw new Refusal(refused);
    previous = hashText(primitives, agreed.text);
    log.set(previous, parsed.data);
    ownership.set(previous, after);
    before = after;
  }
  return { log, ownership };
}

/** A consensus record that convinces; throws `Refusal`. */
export function verifyRecord(record: unknown, primitives: Primitives): VerifiedConsensus {
  const verified = verifyConsensus(primitives, record);
  if (!verified.ok) throw new Refusal(verified.reason);
  return verified.consensus;
}

const object = z.record(z.string(), z.unknown());
const partsSchema = z.object({ data: object, info: object });

function partsOf(agreed: VerifiedConsensus): z.output<typeof partsSchema> {
  const parts = partsSchema.safeParse(agreed.body);
  if (!parts.success) throw new Refusal('change-foreign');
  return parts.data;
}

/** `data` of a change to this mixnet's peer; a text about any other object proves nothing here. */
export function changeOf(agreed: VerifiedConsensus, mixnetId: string): Record<string, unknown> {
  const { data, info } = partsOf(agreed);
  const isChange = info['resource'] === 'peer' && info['operation'] === 'partial_update';
  check(isChange && data['peer_id'] === mixnetId, 'change-foreign');
  return data;
}

/** Owners alone sign, and as many as the rule asks for. */
export function checkRule({ signers }: VerifiedConsensus, of: Ownership): void {
  const refused = refuseSigners(of, of, signers);
  if (refused) throw new Refusal(refused);
}

/** Throws `Refusal` with the reason where a condition does not hold. */
export function check(holds: boolean, reason: DirectoryReason): void {
  if (!holds) throw new Refusal(reason);
}
