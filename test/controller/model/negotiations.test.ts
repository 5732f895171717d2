/** Negotiations and their consensus against the model of negotiation-steps.ts, in random sequences. */
import { deepStrictEqual, ok } from 'node:assert/strict';
import test from 'ava';
import fc from 'fast-check';
import { type ConsensusRecord, verifyConsensus } from '../../../src/api/negotiation.ts';
import { combinedPeer } from '../../../src/api/peer.ts';
import { createIdentity, type Identity } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { privateController, sharedStore } from '../private-controller.ts';
import { keysOf, type Model, PARTIES, type Real, STEPS } from './negotiation-steps.ts';
import { dataOf, runSequences, step, World } from './world.ts';

const store = sharedStore(test);

const look = fc.constant(step<Model, Real>('look', check));

/** Everything that can be read is what the model says: no more, no less. */
async function check(model: Model, real: Real): Promise<void> {
  const { world, parties, wishes } = real;
  const [reader] = parties as [Identity];
  for (const negotiation of model.negotiations) {
    const found = dataOf(
      await world.read(reader, `negotiations/${negotiation.id}`),
    ) as ConsensusRecord;
    deepStrictEqual(found.status, negotiation.done === null ? 'OPEN' : 'DONE');
    if (negotiation.done !== null) {
      const verified = verifyConsensus(native, found);
      ok(verified.ok, verified.ok ? '' : verified.reason);
      deepStrictEqual(verified.consensus.text, negotiation.done.text);
      deepStrictEqual(verified.consensus.signers, negotiation.done.signers);
      // Once ended, it never ends again.
      negotiation.consensus ??= found.consensus;
      deepStrictEqual(found.consensus, negotiation.consensus);
    }
    const opener = parties.find((one) => one.peerId === negotiation.opener) as Identity;
    if (negotiation.done === null || negotiation.said.some((one) => one.signer === opener.peerId)) {
      const query = { negotiation: negotiation.id };
      const list = (await world.read(opener, 'contributions', query)).body as { data: object }[];
      deepStrictEqual(
        list.map(({ data }) => ({ ...data, id: 0, signature: '' })),
        negotiation.said.map((one) => ({
          id: 0,
          negotiation_id: negotiation.id,
          text: one.text,
          latest: negotiation.said.findLast(({ signer }) => signer === one.signer) === one,
          signer_key_id: one.signer,
          signature: '',
        })),
      );
    }
  }
  for (const wish of wishes) {
    const answer = await world.read(reader, `peers/${wish.key_id}`);
    const consensus = model.peers.get(wish.key_id);
    deepStrictEqual(answer.status, consensus === undefined ? 404 : 200, 'made by consensus alone');
    if (consensus === undefined) continue;
    const { consensus_logs } = dataOf(answer) as { consensus_logs: { consensus_id: string }[] };
    deepStrictEqual(
      consensus_logs.map((line) => line.consensus_id),
      [consensus],
    );
  }
}

test('whatever peers say and apply, a consensus is exactly what its signers signed, and used once', async (t) => {
  const bed = await privateController(t, store());
  await runSequences<Model, Real>(
    t,
    [...STEPS, look],
    () => {
      const parties = Array.from({ length: PARTIES }, () => createIdentity(native));
      const wish = (count: number) => {
        const owners = keysOf(parties.slice(0, count));
        return combinedPeer(native, {
          name: `${count}`,
          backend: 'X',
          params: {},
          owners,
          rule: 'all',
        });
      };
      const real = { world: new World(bed), parties, wishes: [wish(2), wish(3)] };
      const model = { negotiations: [], peers: new Map(), used: new Map() };
      return Promise.resolve({ model, real });
    },
    check,
    [
      'begin: taken',
      'begin: request-malformed',
      'say: taken',
      'say: signature-invalid',
      'say: contribution-foreign',
      'say: negotiation-done',
      'say: not-a-signer',
      'say what was said: taken',
      'apply: taken',
      'apply again: taken',
      'apply: consensus-unknown',
      'apply: consensus-mismatch',
      'apply: consensus-used',
      'apply: consensus-insufficient',
      'apply: not-a-signer',
      'apply: peer-exists',
    ],
  );
});
