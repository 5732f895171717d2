/**
 * Writes that meet each other, hundreds of times against a real Redis and two controllers on it: of two
 * that exclude each other one happens, and nothing is half done or lost.
 */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { type MessageCreate, messageHash } from '../../src/api/message.ts';
import { consensusId } from '../../src/api/negotiation.ts';
import { native } from '../../src/crypto/native.ts';
import { PanoramixError } from '../../src/errors.ts';
import { BATCH } from '../../src/api/endpoint.ts';
import { Batch, type Party } from './batch-party.ts';
import {
  endpointOf,
  openEndpoint,
  type PrivateController,
  privateController,
  proposalText,
  serial,
  sharedStore,
} from './private-controller.ts';

const store = sharedStore(test);
const ROUNDS = 200;

/** Null where it worked, else the reason. */
async function outcome(promise: Promise<unknown>): Promise<string | null> {
  return await promise.then(
    () => null,
    (error: unknown) => (error instanceof PanoramixError ? error.code : String(error)),
  );
}

/** The same peer at two controllers that share their storage. */
async function twins(
  one: PrivateController,
  two: PrivateController,
): Promise<readonly [Party, Party]> {
  const here = await one.peer();
  return [here, two.client(here.identity)];
}

async function openBatch(owner: Party, id: string, more = {}): Promise<Batch> {
  const data = endpointOf(owner.identity.peerId, id, { endpoint_type: BATCH, ...more });
  return new Batch([owner], await openEndpoint(owner, data));
}

type Closing = { readonly status: 'CLOSED'; readonly message_hashes: string[] };

function messageFor(batch: Batch, from: Party): MessageCreate {
  return {
    endpoint_id: batch.id,
    box: 'INBOX',
    sender: from.identity.peerId,
    recipient: batch.peerId,
    text: 'late',
    serial: serial(),
  };
}

async function refresh(batch: Batch): Promise<void> {
  const endpoint = await batch.first.getEndpoint(batch.id);
  if (endpoint !== null) batch.endpoint = endpoint;
}

async function hashesIn(batch: Batch, box: 'INBOX' | 'ACCEPTED'): Promise<string[]> {
  const messages = await batch.first.listMessages({ endpointId: batch.id, box });
  return messages.map((message) => message.messageHash);
}

/** Gives one side of a race a start that makes both sides win about as often, however busy the machine. */
class Handicap {
  #leadMs = 0;

  /** Positive where the first side waits. */
  async waits(side: 'first' | 'second'): Promise<void> {
    const ms = side === 'first' ? this.#leadMs : -this.#leadMs;
    if (ms > 0) await delay(ms);
  }

  won(side: 'first' | 'second'): void {
    this.#leadMs += (side === 'first' ? 1 : -1) * Math.random() * 2;
  }
}

test('of two closings at the same moment one happens, whole', async (t) => {
  const one = await privateController(t, store());
  const two = await privateController(t, store(), { store: one.store });
  const [here, there] = await twins(one, two);
  const wins = [0, 0];
  const handicap = new Handicap();
  for (let round = 0; round < ROUNDS; round++) {
    const batch = await openBatch(here, `ep_${round}`);
    const hashes = [await batch.post(here, 'a'), await batch.post(here, 'b')];
    const [first, second] = hashes.map((hash) => ({
      status: 'CLOSED' as const,
      message_hashes: [hash],
    })) as [Closing, Closing];
    const agreed = [await batch.agree(first), await batch.agree(second)] as const;
    const outcomes = await Promise.all([
      handicap.waits('first').then(() => outcome(batch.apply(first, agreed[0], here))),
      handicap.waits('second').then(() => outcome(batch.apply(second, agreed[1], there))),
    ]);
    const winner = outcomes.indexOf(null);
    t.is(outcomes[1 - winner], 'consensus-not-last', `round ${round}`);
    wins[winner] = (wins[winner] ?? 0) + 1;
    handicap.won(winner === 0 ? 'first' : 'second');
    await refresh(batch);
    t.is(batch.lastConsensus, agreed[winner === 0 ? 0 : 1]);
    t.deepEqual(await hashesIn(batch, 'ACCEPTED'), [hashes[winner]]);
    t.deepEqual(await hashesIn(batch, 'INBOX'), [hashes[1 - winner]], 'kept for the next cycle');
    await batch.change({ status: 'PROCESSED', message_hashes: [] });
  }
  t.log({ wins });
  t.true(Math.min(...wins) > 9, 'both came first often enough');
});

test('a message against a closing: what was answered 201 is in a box, and what was refused is in none', async (t) => {
  const one = await privateController(t, store());
  const two = await privateController(t, store(), { store: one.store });
  const [here, there] = await twins(one, two);
  const counts = { stored: 0, refused: 0 };
  const handicap = new Handicap();
  for (let round = 0; round < ROUNDS; round++) {
    const batch = await openBatch(here, `ep_${round}`);
    const named = await batch.post(here, 'named');
    const closing = { status: 'CLOSED' as const, message_hashes: [named] };
    const agreed = await batch.agree(closing);
    const message = messageFor(batch, there);
    // So that the other controller believes that it is open.
    const warm = messageFor(batch, there);
    await there.postMessages([warm]);
    const [closed, posted] = await Promise.all([
      handicap.waits('second').then(() => outcome(batch.apply(closing, agreed))),
      handicap.waits('first').then(() => outcome(there.postMessages([message]))),
    ]);
    t.is(closed, null);
    t.deepEqual(await hashesIn(batch, 'ACCEPTED'), [named]);
    const left = await hashesIn(batch, 'INBOX');
    const kept = (posted === null ? [warm, message] : [warm]).map((stored) =>
      messageHash(native, stored),
    );
    t.deepEqual(left, kept, `round ${round}`);
    t.true(posted === null || posted === 'endpoint-closed');
    // By now both have seen it closed, or are told so by Redis.
    const after = await outcome(there.postMessages([messageFor(batch, there)]));
    t.is(after, 'endpoint-closed', `round ${round}`);
    counts[posted === null ? 'stored' : 'refused']++;
    handicap.won(posted === null ? 'first' : 'second');
    await refresh(batch);
    await batch.change({ status: 'PROCESSED', message_hashes: [] });
  }
  t.log(counts);
  t.true(counts.stored > 9 && counts.refused > 9, 'both came first often enough');
});

test('a consensus used twice at the same moment does one thing', async (t) => {
  const one = await privateController(t, store());
  const two = await privateController(t, store(), { store: one.store });
  const [here, there] = await twins(one, two);
  const info = { resource: 'endpoint', operation: 'create' };
  for (let round = 0; round < ROUNDS; round++) {
    const type = { endpoint_type: BATCH, size_min: 0 };
    const data = endpointOf(here.identity.peerId, `ep_${round}`, type);
    const consensus = await here.decideAlone({ data, info });
    const answers = await Promise.all([
      here.createEndpoint(data, consensus),
      there.createEndpoint(data, consensus),
    ]);
    t.deepEqual(answers[0], answers[1], 'the second is a repeat');
    const batch = new Batch([here], answers[0]);
    // Another body under the same consensus, against the body that was agreed on.
    const closing = { status: 'CLOSED' as const, message_hashes: [] };
    const agreed = await batch.agree(closing);
    const outcomes = await Promise.all([
      outcome(batch.apply(closing, agreed, here)),
      outcome(batch.apply({ status: 'FULL' }, agreed, there)),
    ]);
    t.is(outcomes[0], null);
    t.true(['consensus-used', 'consensus-mismatch'].includes(outcomes[1] ?? ''), `${outcomes[1]}`);
    await refresh(batch);
    t.deepEqual(
      batch.endpoint.consensus_logs.map((line) => line.status),
      ['OPEN', 'CLOSED'],
    );
    await batch.change({ status: 'PROCESSED', message_hashes: [] });
  }
});

test('two accepts at the same moment end a negotiation once, with both', async (t) => {
  const one = await privateController(t, store());
  const two = await privateController(t, store(), { store: one.store });
  const [here, other] = [one.client(), two.client()];
  const signers = [here.identity.peerId, other.identity.peerId].toSorted();
  const body = { data: {}, info: {} };
  for (let round = 0; round < ROUNDS; round++) {
    const id = await here.createNegotiation();
    const text = proposalText(id, body, { accept: true, signers });
    await Promise.all([here.contribute(id, text), other.contribute(id, text)]);
    const [seen, seenThere] = [await here.getNegotiation(id), await other.getNegotiation(id)];
    t.deepEqual(seen, seenThere);
    if (seen?.status !== 'DONE') throw new Error(`round ${round} has not ended`);
    t.deepEqual(
      seen.signings.map((signing) => signing.signer_key_id),
      signers,
    );
    t.is(consensusId(native, seen), seen.consensus);
  }
});

test('an accept against a change of mind: the end holds both or has not come', async (t) => {
  const one = await privateController(t, store());
  const two = await privateController(t, store(), { store: one.store });
  const [here, other] = [one.client(), two.client()];
  const signers = [here.identity.peerId, other.identity.peerId].toSorted();
  const body = { data: {}, info: {} };
  const counts = { done: 0, open: 0 };
  const handicap = new Handicap();
  for (let round = 0; round < ROUNDS; round++) {
    const id = await here.createNegotiation();
    const text = proposalText(id, body, { accept: true, signers });
    await here.contribute(id, text);
    const [taken, accepted] = await Promise.all([
      handicap
        .waits('first')
        .then(() => outcome(here.contribute(id, proposalText(id, body, { signers, round: 2 })))),
      handicap.waits('second').then(() => outcome(other.contribute(id, text))),
    ]);
    t.is(accepted, null);
    const seen = await here.getNegotiation(id);
    if (seen?.status === 'DONE') {
      counts.done++;
      t.is(taken, 'negotiation-done', `round ${round}`);
      t.is(seen.signings.length, 2);
    } else {
      counts.open++;
      t.is(taken, null, `round ${round}`);
    }
    handicap.won(taken === null ? 'first' : 'second');
  }
  t.log(counts);
  t.true(counts.done > 9 && counts.open > 9, 'both came first often enough');
});
