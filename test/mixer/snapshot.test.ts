import test from 'ava';
import type { ContributionBody } from '../../src/api/contribution.ts';
import { hashText, STALE_MS } from '../../src/api/signed.ts';
import type { Meeting } from '../../src/client/meeting.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { signEntry, type SignedEntry, type Snapshot } from '../../src/mixnet/directory-texts.ts';
import { readFoundation } from '../../src/mixnet/verify-log.ts';
import {
  composeSnapshot,
  offerEntry,
  offersIn,
  presentOwners,
  reviewSnapshot,
  type SnapshotGround,
} from '../../src/mixer/snapshot.ts';
import { LIFETIME_MS, NOW_MS, paperMixnet } from '../mixnet/signed-directory.ts';

const NEXT = 'N'.repeat(43);
const mixnet = paperMixnet();
const stranger = createIdentity(native);
const entries = (JSON.parse(mixnet.nodes.snapshot.text) as { data: { snapshot: Snapshot } }).data
  .snapshot.entries;
const ground = groundOf();
const [own] = entries as [SignedEntry];

function groundOf(): SnapshotGround {
  const read = readFoundation(mixnet.nodes, mixnet.mixnetId, native);
  if (!read.ok) throw new Error(read.reason);
  const { terms, log, consensusId } = read.foundation;
  const [logHead, head] = [...log][0] as [string, SnapshotGround['head']];
  return {
    mixnetId: mixnet.mixnetId,
    terms,
    number: 1,
    previous: mixnet.mixnetId,
    lastConsensusId: consensusId,
    logHead,
    head,
  };
}

/** What all nodes have said, as the meeting shows it. */
function meetingOf(
  offers: readonly SignedEntry[],
  signerOf = (entry: SignedEntry) => entry.peer_id,
): Meeting {
  const statements = offers.map((entry) => {
    const draft = offerEntry(ground, entry, NEXT);
    const meta = {
      accept: false,
      signers: [],
      negotiation_id: 'F'.repeat(43),
      round: 1,
      time: new Date(NOW_MS).toISOString(),
      ...draft.meta,
    };
    const body = { data: draft.data, info: draft.info, meta };
    return { id: 1, signer: signerOf(entry), text: '', body, latest: true, accepts: false };
  });
  return { negotiationId: 'F'.repeat(43), consensus: null, statements };
}

function accepted(
  change: (snapshot: Snapshot) => object = (snapshot) => snapshot,
  of: readonly SignedEntry[] = entries,
  over: Partial<ContributionBody['meta']> = {},
): ContributionBody {
  const draft = composeSnapshot(of, ground, NEXT, NOW_MS);
  const { peer_id, snapshot } = draft.data as { peer_id: string; snapshot: Snapshot };
  return {
    data: { peer_id, snapshot: change(snapshot) },
    info: draft.info,
    meta: {
      accept: true,
      signers: [...draft.signers],
      negotiation_id: 'F'.repeat(43),
      round: 2,
      time: new Date(NOW_MS).toISOString(),
      expires: new Date(NOW_MS + 60_000).toISOString(),
      next_negotiation_hash: hashText(native, NEXT),
      ...over,
    },
  };
}

function review(body: ContributionBody, nowMs = NOW_MS): string | null {
  return reviewSnapshot(native, body, meetingOf(entries).statements, ground, own, nowMs);
}

test('a node signs what was composed of all entries, or of enough of them with its own', (t) => {
  t.is(review(accepted()), null);
  t.is(review(accepted((snapshot) => snapshot, entries.slice(0, 2))), null);
});

const REFUSED: readonly [string, ContributionBody, string][] = [
  ['without its entry', accepted((text) => text, entries.slice(1)), 'own-entry-changed'],
  ['with too few entries', accepted((text) => text, entries.slice(0, 1)), 'rule-not-met'],
  ['of another number', accepted((text) => ({ ...text, number: 2 })), 'snapshot-number-mismatch'],
  [
    'after another one',
    accepted((text) => ({ ...text, previous: 'a'.repeat(64) })),
    'snapshot-broken',
  ],
  [
    'by another log',
    accepted((text) => ({ ...text, log_head: 'a'.repeat(64) })),
    'snapshot-log-mismatch',
  ],
  [
    'with traffic that nobody agreed on',
    accepted((text) => ({ ...text, traffic: { ...text.traffic, ticks_per_second: 9 } })),
    'snapshot-traffic-mismatch',
  ],
  [
    'that lives longer than agreed',
    accepted((text) => ({
      ...text,
      valid_until: new Date(NOW_MS + 2 * LIFETIME_MS).toISOString(),
    })),
    'snapshot-lifetime-mismatch',
  ],
  [
    'with more than belongs there',
    accepted((text) => ({ ...text, more: 1 })),
    'snapshot-malformed',
  ],
  [
    'with entries out of order',
    accepted((text) => ({ ...text, entries: text.entries.toReversed() })),
    'entry-repeated',
  ],
  [
    'with a stranger’s entry',
    accepted((text) => ({
      ...text,
      entries: [...text.entries, strangersEntry()].toSorted((left, right) =>
        left.peer_id < right.peer_id ? -1 : 1,
      ),
    })),
    'entry-foreign',
  ],
  [
    'with an entry that its node did not sign so',
    accepted((text) => ({
      ...text,
      entries: text.entries.map((entry, index) =>
        index === 2 ? { ...entry, paused: true } : entry,
      ),
    })),
    'entry-signature-invalid',
  ],
  [
    'that names signers, of whom one may be gone',
    accepted((text) => text, entries.slice(0, 2), { signers: allOwners() }),
    'signers-differ',
  ],
  [
    'that may be signed for days, so that who has signed it would wait for days',
    accepted((text) => text, entries, {
      expires: new Date(NOW_MS + 86_400_000).toISOString(),
    }),
    'text-expires-late',
  ],
  [
    'that names no next negotiation',
    accepted((text) => text, entries, { next_negotiation_hash: 'a'.repeat(64) }),
    'next-negotiation-differs',
  ],
];

for (const [what, body, reason] of REFUSED) {
  test(`a node does not sign a snapshot ${what}: ${reason}`, (t) => {
    t.is(review(body), reason);
  });
}

test('a node does not sign what begins more than five minutes from now', (t) => {
  // And as much more as a text may be on its way.
  t.is(review(accepted(), NOW_MS + STALE_MS), null);
  t.is(review(accepted(), NOW_MS + STALE_MS + 1), 'snapshot-time-mismatch');
  t.is(review(accepted(), NOW_MS - STALE_MS - 1), 'snapshot-time-mismatch');
});

test('a node does not sign a change to another peer', (t) => {
  const body = accepted();
  const { snapshot } = body.data as { snapshot: object };
  t.is(review({ ...body, data: { peer_id: 'a'.repeat(64), snapshot } }), 'change-foreign');
  t.is(review({ ...body, info: { resource: 'peer', operation: 'create' } }), 'change-foreign');
});

test('an entry counts when its own node offers it, for this number, and once', (t) => {
  const offered = (
    offers: readonly SignedEntry[],
    signerOf?: (entry: SignedEntry) => string,
  ): ReturnType<typeof offersIn> =>
    offersIn(native, meetingOf(offers, signerOf).statements, ground);
  t.deepEqual(offered(entries), { entries, twoFaced: [] });
  t.deepEqual(offered([...entries, ...entries]), { entries, twoFaced: [] });
  t.deepEqual(
    offered(entries, () => stranger.peerId),
    { entries: [], twoFaced: [] },
  );
  const [owner] = mixnet.owners as [(typeof mixnet.owners)[0]];
  const { signature: _signature, ...entry } = own;
  const early = signEntry(native, owner, { ...entry, number: 2 });
  t.deepEqual(offered([own, early]), { entries: [own], twoFaced: [] });
  t.deepEqual(presentOwners([own], ground), [owner.peerId]);
});

test('a node that signs two different entries for one number is left out, and named', (t) => {
  const [owner] = mixnet.owners as [(typeof mixnet.owners)[0]];
  const { signature: _signature, ...entry } = own;
  const other = signEntry(native, owner, { ...entry, paused: true });
  const both = meetingOf([...entries, other]).statements;
  t.deepEqual(offersIn(native, both, ground), {
    entries: entries.slice(1),
    twoFaced: [owner.peerId],
  });
  const others = mixnet.owners[1]?.peerId;
  const mine = entries[1] as SignedEntry;
  t.is(mine.peer_id, others ?? '');
  const reviewed = (body: ContributionBody, statements = both): string | null =>
    reviewSnapshot(native, body, statements, ground, mine, NOW_MS);
  t.is(reviewed(accepted()), 'entry-equivocated');
  t.is(reviewed(accepted((text) => text, entries.slice(1))), null);
  // Said after the text was composed, it does not undo it: else one could stop every snapshot.
  t.is(reviewed(accepted(), meetingOf(entries).statements), null);
});

function allOwners(): string[] {
  return mixnet.owners.map((owner) => owner.peerId);
}

function strangersEntry(): SignedEntry {
  const { signature: _signature, ...entry } = own;
  return signEntry(native, stranger, { ...entry, peer_id: stranger.peerId });
}
