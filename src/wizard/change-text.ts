/**
 * The text of a change between proposal and signature: what its proposer signs, and what every other owner
 * checks of it by machine before a person looks at it. Pure.
 */
import { canonicalText } from '../api/canonical.ts';
import type { ContributionBody } from '../api/contribution.ts';
import { addedOwners, ownershipAfter, signaturesNeeded } from '../api/peer.ts';
import type { Draft } from '../client/agree.ts';
import type { Among } from '../client/controller.ts';
import { logEntry } from '../mixnet/directory-texts.ts';
import { refuseStanding, type ChangeBase, type Standing } from './change-wish.ts';

/** A mixnet as it stands when it is to be changed; all of it verified. */
export interface ChangeGround extends ChangeBase {
  readonly mixnetId: string;
  readonly name: string;
  /** Consensus id of the log's last entry: what the next one is applied on. */
  readonly lastConsensusId: string;
  /** Consensus ids of all entries, so that one knows whether a change has been taken. */
  readonly consensusIds: ReadonlySet<string>;
}

/** `data` and `info` of the change after which a mixnet stands so. */
export function changeDraft(ground: ChangeGround, after: Standing): Draft {
  return {
    data: { peer_id: ground.mixnetId, log: after.entry },
    info: {
      resource: 'peer',
      operation: 'partial_update',
      on_last_consensus_id: ground.lastConsensusId,
    },
  };
}

/** Between whom a change is agreed: those of before by their rule, and each whom it adds. */
export function partiesOf(before: Standing, after: Standing): Among {
  const added = addedOwners(before, after);
  return {
    signers: [...before.owners, ...added].toSorted(),
    needed: signaturesNeeded(before.rule, before.owners.length) + added.length,
    required: added,
  };
}

/** What stands after a composed change, or why it is not to be signed by anybody. */
export type ReadChange =
  | { readonly ok: true; readonly standing: Standing }
  | {
      readonly ok: false;
      readonly reason:
        | 'log-malformed'
        | 'change-foreign'
        /** It follows another entry than the log's head: another change came first. */
        | 'consensus-not-last'
        | 'change-unfit'
        | 'signers-differ';
      readonly detail: string;
    };

/** Reads a composed change against the log's head. */
export function readChange(ground: ChangeGround, body: ContributionBody): ReadChange {
  const data = body.data as { peer_id?: unknown; log?: unknown } | null;
  const parsed = logEntry.safeParse(data?.log);
  if (!parsed.success) return refused('log-malformed', 'it is no log entry');
  if (data?.peer_id !== ground.mixnetId) return refused('change-foreign', 'of another mixnet');
  const entry = parsed.data;
  if (entry.previous !== ground.logHead) {
    return refused('consensus-not-last', 'another change came first');
  }
  const standing = { entry, ...ownershipAfter(ground.standing, entry) };
  const whole = changeDraft(ground, standing);
  if (
    canonicalText({ data: body.data, info: body.info }) !==
    canonicalText({ data: whole.data, info: whole.info })
  ) {
    return refused('change-foreign', 'it asks for something else besides');
  }
  // Those who must all sign are for the rule to say: named, one who is away would hold up the change.
  if (body.meta.signers.length > 0) return refused('signers-differ', 'it names its signers');
  const unfit = refuseStanding(standing, ground.params);
  return unfit === null ? { ok: true, standing } : refused('change-unfit', unfit);
}

function refused(reason: Extract<ReadChange, { ok: false }>['reason'], detail: string): ReadChange {
  return { ok: false, reason, detail };
}
