/** Things of others, and of nobody: who asks to change them, or speaks in another's name, is refused by name. */
import test, { type ExecutionContext } from 'ava';
import { combinedPeer, singlePeer } from '../../../src/api/peer.ts';
import { type RequestBody, signText } from '../../../src/api/signed.ts';
import { native } from '../../../src/crypto/native.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import {
  agreeTogether,
  endpointOf,
  openEndpoint,
  type PrivateController,
  privateController,
  proposalText,
  serial,
  sharedStore,
} from '../private-controller.ts';
import { assertRefused } from './doors.ts';

const store = sharedStore(test);
const NOBODY = '7'.repeat(64);
const NO_NEGOTIATION = 'N'.repeat(43);
const CREATE_ENDPOINT = { resource: 'endpoint', operation: 'create' };
const CREATE_PEER = { resource: 'peer', operation: 'create' };

type Party = ReturnType<PrivateController['client']>;
type Row = readonly [what: string, who: Party, door: string, body: RequestBody, reason: ErrorCode];

const update = (resource: string, last: string) => ({
  resource,
  operation: 'partial_update',
  on_last_consensus_id: last,
});

function by(body: RequestBody, consensus: string, part?: number): RequestBody {
  const names = { consensus_id: consensus, consensus_type: 'structural' as const };
  return {
    ...body,
    by_consensus: { ...names, ...(part !== undefined && { consensus_part: part }) },
  };
}

/** A body, and the consensus of some peers on it. */
async function agreed(parties: readonly Party[], body: RequestBody): Promise<RequestBody> {
  return by(body, await agreeTogether(parties, body));
}

async function refuseAll(
  t: ExecutionContext,
  bed: PrivateController,
  rows: readonly Row[],
): Promise<void> {
  for (const [what, who, door, body, reason] of rows) {
    const [method, path] = door.split(' ') as ['POST' | 'PATCH', string];
    // Ten refusals a second are logged.
    bed.skew(bed.now() - Date.now() + 1000);
    const answer = await bed.send(method, `/panoramix/${path}`, who.identity, body);
    assertRefused(t, bed, answer, { reason, what });
  }
}

test('an endpoint of another, or of nobody, is neither opened nor changed', async (t) => {
  const bed = await privateController(t, store());
  const [owner, thief] = [await bed.peer('owner'), await bed.peer('thief')];
  const his = owner.identity.peerId;
  const opened = await openEndpoint(owner, endpointOf(his, 'his'));
  const info = update('endpoint', opened.consensus_logs[0]?.consensus_id ?? '');
  const data = { endpoint_id: 'his', status: 'CLOSED', last_message_id: 0 };
  const close = { data, info };
  const closeNone = { data: { ...data, endpoint_id: 'none' }, info };
  const closeLate = { data, info: update('endpoint', NOBODY) };
  const steal = { data: endpointOf(his, 'stolen'), info: CREATE_ENDPOINT };
  const ofNobody = { data: endpointOf(NOBODY, 'x'), info: CREATE_ENDPOINT };
  const sameName = { data: endpointOf(thief.identity.peerId, 'his'), info: CREATE_ENDPOINT };
  const mine = await agreeTogether([thief], sameName);

  const [open, change] = ['POST endpoints', 'PATCH endpoints/his'];
  const unfit = 'consensus-insufficient';
  const both = [thief, owner];
  await refuseAll(t, bed, [
    ['opened for another', thief, open, await agreed([thief], steal), unfit],
    ['opened for nobody', thief, open, await agreed([thief], ofNobody), 'peer-unknown'],
    ['the name of another', thief, open, await agreed([thief], sameName), 'endpoint-exists'],
    ['no consensus', thief, open, steal, 'consensus-missing'],
    ['a consensus of nobody', thief, open, by(steal, NOBODY), 'consensus-unknown'],
    ['a consensus on another', thief, open, by(steal, mine), 'consensus-mismatch'],
    ['a part of what has none', thief, open, by(sameName, mine, 0), 'consensus-mismatch'],
    ['closed by another', thief, change, await agreed([thief], close), unfit],
    ['closed by a stranger too', thief, change, await agreed(both, close), unfit],
    ['by the owner’s consensus', thief, change, await agreed([owner], close), 'not-a-signer'],
    ['after what never was', owner, change, await agreed([owner], closeLate), 'consensus-not-last'],
    ['none', owner, 'PATCH endpoint/none', await agreed([owner], closeNone), 'endpoint-unknown'],
  ]);
  t.deepEqual(await bed.client().getEndpoint('his'), opened, 'and nothing has changed');
  t.is((await bed.client().listEndpoints()).length, 1);
});

test('a peer of another, or of nobody, is neither made nor changed', async (t) => {
  const bed = await privateController(t, store());
  const [owner, thief] = [await bed.peer('owner'), await bed.peer('thief')];
  const [his, mine] = [owner.identity.peerId, thief.identity.peerId];
  const owners = [his, mine].toSorted();
  const terms = { name: 'both', backend: 'SPHINXMIX', params: {}, owners, rule: 'all' as const };
  const data = combinedPeer(native, terms);
  const founded = await agreeTogether([owner, thief], { data, info: CREATE_PEER });
  await owner.createPeer(data, founded);
  const id = data.key_id;
  const log = (peer: string) => ({
    data: { peer_id: peer, log: { previous: peer } },
    info: update('peer', founded),
  });
  const asHim = { data: singlePeer(his, 'me'), info: CREATE_PEER };
  const alone = { data: combinedPeer(native, { ...terms, name: 'mine' }), info: CREATE_PEER };
  const again = { data, info: CREATE_PEER };
  const [make, unfit] = ['POST peers', 'consensus-insufficient'] as const;
  await refuseAll(t, bed, [
    ['the key of another', thief, make, await agreed([thief], asHim), 'key-foreign'],
    ['without all owners', thief, make, await agreed([thief], alone), unfit],
    ['the same once more', thief, make, await agreed([thief, owner], again), 'peer-exists'],
    ['changed by one of two', thief, `PATCH peers/${id}`, await agreed([thief], log(id)), unfit],
    ['nobody', thief, `PATCH peers/${NOBODY}`, await agreed([thief], log(NOBODY)), 'peer-unknown'],
    ['a bare key', owner, `PATCH peers/${his}`, await agreed([owner], log(his)), 'peer-malformed'],
  ]);
  t.is((await bed.client().getPeer(id))?.consensus_logs.length, 1, 'and nothing has changed');
  t.is((await bed.client().listPeers()).length, 3);
});

function said(party: Party, negotiationId: string, text: string): RequestBody {
  const signature = signText(native, party.identity, text);
  const info = { resource: 'contribution', operation: 'create' };
  return { data: { negotiation_id: negotiationId, text, signature }, info };
}

function write(id: string, meta = {}): string {
  return proposalText(id, { data: {}, info: {} }, meta);
}

test('what is said in no negotiation, in another’s name or for another negotiation is refused', async (t) => {
  const bed = await privateController(t, store());
  const [one, two] = [await bed.peer(), await bed.peer()];
  const [here, there] = [await one.createNegotiation(), await one.createNegotiation()];
  const text = write(here);
  const late = write(here, { expires: '2026-01-01T00:00:00.000Z' });
  const others = write(here, { signers: [two.identity.peerId] });
  const swapped = said(one, here, write(there));
  const unfit = { ...swapped, data: { ...(swapped.data as object), text } };
  const door = 'POST contributions';
  await refuseAll(t, bed, [
    ['nowhere', one, door, said(one, NO_NEGOTIATION, write(NO_NEGOTIATION)), 'negotiation-unknown'],
    ['signed by another', one, door, said(two, here, text), 'signature-invalid'],
    ['signed, but another text', one, door, unfit, 'signature-invalid'],
    ['for another negotiation', one, door, said(one, here, write(there)), 'contribution-foreign'],
    ['not canonical', one, door, said(one, here, `${text} `), 'contribution-malformed'],
    ['empty', one, door, said(one, here, ''), 'contribution-malformed'],
    ['past its time', one, door, said(one, here, late), 'contribution-expired'],
    ['of other signers', one, door, said(one, here, others), 'not-a-signer'],
  ]);
  t.deepEqual(await one.listContributions(here), [], 'and nothing was said');
});

test('a message to nobody, from another, or into a box that takes none is refused', async (t) => {
  const bed = await privateController(t, store());
  const [owner, sender, stranger] = [await bed.peer(), await bed.peer(), bed.client()];
  const [his, from] = [owner.identity.peerId, sender.identity.peerId];
  await openEndpoint(owner, endpointOf(his, 'his'));
  const message = (change: object): RequestBody => {
    const fields = { endpoint_id: 'his', box: 'INBOX', sender: from, recipient: his };
    const data = { ...fields, text: 'x', serial: serial(), ...change };
    return { data, info: { resource: 'message', operation: 'create' } };
  };
  const door = 'POST messages';
  const fromStranger = message({ sender: stranger.identity.peerId });
  await refuseAll(t, bed, [
    ['no endpoint', sender, door, message({ endpoint_id: 'none' }), 'endpoint-unknown'],
    ['another sender', sender, door, message({ sender: his }), 'key-foreign'],
    ['another recipient', sender, door, message({ recipient: NOBODY }), 'recipient-foreign'],
    ['the box of results', sender, door, message({ box: 'PROCESSBOX' }), 'box-refused'],
    ['a box that is filled by closing', sender, door, message({ box: 'ACCEPTED' }), 'box-refused'],
    ['a box that is made', sender, door, message({ box: 'OUTBOX' }), 'box-refused'],
    ['a key that is not registered', stranger, door, fromStranger, 'sender-refused'],
  ]);
  t.deepEqual(await owner.listMessages({ endpointId: 'his', box: 'INBOX' }), []);
});
