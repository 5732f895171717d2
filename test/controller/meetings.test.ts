import test, { type ExecutionContext } from 'ava';
import { combinedPeer } from '../../src/api/peer.ts';
import { native } from '../../src/crypto/native.ts';
import {
  agreeTogether,
  privateController,
  refusedWith,
  sharedStore,
  type PrivateController,
} from './private-controller.ts';

const store = sharedStore(test);

type Party = Awaited<ReturnType<PrivateController['peer']>>;

async function found(t: ExecutionContext) {
  const bed = await privateController(t, store());
  const owners = [await bed.peer(), await bed.peer()] as [Party, Party];
  const data = combinedPeer(native, {
    name: 'met',
    backend: 'SPHINXMIX',
    params: {},
    owners: owners.map(({ identity }) => identity.peerId).toSorted(),
    rule: 'all',
  });
  const consensus = await agreeTogether(owners, {
    data,
    info: { resource: 'peer', operation: 'create' },
  });
  await owners[0].createPeer(data, consensus);
  return { bed, owners, mixnetId: data.key_id };
}

test('owners find what each of them has said last, in place of what he said before', async (t) => {
  const { owners, mixnetId } = await found(t);
  const [one, two] = owners;
  t.deepEqual(await one.listMeetings(mixnetId), []);
  await one.sayMeeting(mixnetId, { negotiation_id: 'A'.repeat(43), number: 7 });
  await two.sayMeeting(mixnetId, { negotiation_id: 'B'.repeat(43), number: 8 });
  await one.sayMeeting(mixnetId, { negotiation_id: 'C'.repeat(43), number: 9 });
  const places = new Map((await two.listMeetings(mixnetId)).map((place) => [place.owner, place]));
  t.like(places.get(one.identity.peerId), { negotiation_id: 'C'.repeat(43), number: 9 });
  t.like(places.get(two.identity.peerId), { negotiation_id: 'B'.repeat(43), number: 8 });
  t.is(places.size, 2);
});

test('nobody else says where owners meet, or reads it', async (t) => {
  const { bed, mixnetId } = await found(t);
  const stranger = await bed.peer();
  const place = { negotiation_id: 'A'.repeat(43), number: 7 };
  await refusedWith(t, 'reader-refused', stranger.sayMeeting(mixnetId, place));
  await refusedWith(t, 'reader-refused', stranger.listMeetings(mixnetId));
  await refusedWith(t, 'peer-unknown', stranger.listMeetings('a'.repeat(64)));
});
