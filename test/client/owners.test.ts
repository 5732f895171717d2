/** What a client believes of a peer whose owners have changed, from its id alone. */
import test from 'ava';
import type { ConsensusRecord } from '../../src/api/negotiation.ts';
import { combinedPeer, type PeerData } from '../../src/api/peer.ts';
import { hashText } from '../../src/api/signed.ts';
import { type LieReason, verifyPeer } from '../../src/client/verify.ts';
import type { Identity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { agreeOnPaper, createOwners } from '../mixnet/signed-directory.ts';

const [one, two, three, guest] = createOwners(4) as [Identity, Identity, Identity, Identity];
const FOUNDERS = keysOf(one, two, three);
const founding = combinedPeer(native, {
  name: 'ours',
  backend: 'SPHINXMIX',
  params: {},
  owners: FOUNDERS,
  rule: { m: 2, n: 3 },
});
const CREATE = { resource: 'peer', operation: 'create' };

interface Change {
  readonly says: object;
  readonly signers: readonly Identity[];
}

/** What a controller tells after changes, and says of the owners. */
function verdict(changes: readonly Change[], shown: readonly string[]): string {
  const first = agreeOnPaper({ data: founding, info: CREATE }, [one, two, three]);
  const records = [first];
  let previous = founding.key_id;
  for (const { says, signers } of changes) {
    const last = records.at(-1) as ConsensusRecord;
    const record = agreeOnPaper(
      {
        data: { peer_id: founding.key_id, log: { previous, ...says } },
        info: {
          resource: 'peer',
          operation: 'partial_update',
          on_last_consensus_id: last.consensus,
        },
      },
      signers,
    );
    records.push(record);
    previous = hashText(native, record.text);
  }
  const said: PeerData = {
    ...founding,
    owners: shown.map((key) => ({ owner_key_id: key })),
    consensus_logs: records.map(({ timestamp, consensus }) => ({
      timestamp,
      status: 'READY',
      consensus_id: consensus,
    })),
  };
  const known = new Map(records.map((record) => [record.consensus, record]));
  const told = verifyPeer(native, founding.key_id, said, known);
  return told.ok ? JSON.stringify([told.value.owners, told.value.rule]) : told.reason;
}

const joins: Change = {
  says: { owners: keysOf(one, two, guest), rule: 'all' },
  signers: [one, two, guest],
};

test('the owners are those that the last entry of the log has named', (t) => {
  const now = keysOf(one, two, guest);
  t.is(verdict([], FOUNDERS), JSON.stringify([FOUNDERS, { m: 2, n: 3 }]));
  t.is(verdict([joins], now), JSON.stringify([now, 'all']));
  const next = { says: {}, signers: [one, two, guest] };
  t.is(verdict([joins, next], now), JSON.stringify([now, 'all']));
});

const LIES: readonly [string, readonly Change[], readonly string[], LieReason][] = [
  ['the founders still, after they have changed', [joins], FOUNDERS, 'owners-mismatch'],
  ['new owners before anybody agreed', [], keysOf(one, two, guest), 'owners-mismatch'],
  [
    'a new owner who never signed',
    [{ ...joins, signers: [one, two] }],
    keysOf(one, two, guest),
    'owner-unsigned',
  ],
  [
    'a new owner whom one of three took in',
    [{ ...joins, signers: [one, guest] }],
    keysOf(one, two, guest),
    'rule-not-met',
  ],
  [
    'an entry by somebody who was removed',
    [joins, { says: {}, signers: [one, two, guest, three] }],
    keysOf(one, two, guest),
    'signer-unknown',
  ],
  [
    'an entry by the rule of before',
    [joins, { says: {}, signers: [one, two] }],
    keysOf(one, two, guest),
    'rule-not-met',
  ],
  [
    'owners without a rule',
    [{ says: { owners: FOUNDERS }, signers: [one, two] }],
    FOUNDERS,
    'owners-mismatch',
  ],
];

for (const [what, changes, shown, reason] of LIES) {
  test(`a controller that shows ${what} is not believed: ${reason}`, (t) => {
    t.is(verdict(changes, shown), reason);
  });
}

function keysOf(...parties: readonly Identity[]): string[] {
  return parties.map((party) => party.peerId).toSorted();
}
