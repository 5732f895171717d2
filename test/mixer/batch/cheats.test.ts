/** What a lying controller or a cheating owner meets: a named reason in the others' logs, and a cycle that stops. */
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { fromUtf8, toUtf8 } from '../../../src/bytes.ts';
import type { MessageCreate } from '../../../src/api/message.ts';
import { BatchClient } from '../../../src/client/batch-mixnet.ts';
import { ControllerClient } from '../../../src/client/controller.ts';
import { native } from '../../../src/crypto/native.ts';
import { agreeOnStep, type StepGround } from '../../../src/mixer/batch/agree-step.ts';
import { closeStep, Inbox } from '../../../src/mixer/batch/closing.ts';
import type { GatewayTerms } from '../../../src/mixer/batch/creation.ts';
import { readCycle } from '../../../src/mixer/batch/cycle.ts';
import { linkIdOf } from '../../../src/mixer/batch/own-link.ts';
import { hashesOf } from '../../../src/mixnet/batch-link.ts';
import { privateController, sharedStore } from '../../controller/private-controller.ts';
import { LyingProxy, type Lie } from './lying-proxy.ts';
import { D42_PARAMS, foundTogether, reasonsOf, run, type Owner, type Owners } from './owners.ts';

const store = sharedStore(test);
const params = { ...D42_PARAMS, GROUP: 'X25519' as const };
const SENT = ['one', 'two', 'three', 'four', 'five'];

interface Listed {
  data: { id: number; text: string; recipient: string; sender: string; message_hash: string };
}

/** Which place is lied to, how, and what its log says in the end. */
const LIES: Record<string, { place: number; lie: Lie; reason: RegExp }> = {
  'hides a message of the INBOX from a contributor': {
    place: 1,
    lie: inBox('INBOX', (list) => list.filter(({ data }) => data.id !== 2)),
    reason: /message-unseen/,
  },
  'hides a message of the INBOX from the coordinator': {
    place: 0,
    lie: inBox('INBOX', (list) => list.filter(({ data }) => data.id !== 6)),
    reason: /message-unseen/,
  },
  'swaps the text of a message in the INBOX': {
    place: 2,
    lie: inBox('INBOX', (list) =>
      list.map(({ data }) => ({ data: data.id === 2 ? { ...data, text: 'AAAA' } : data })),
    ),
    reason: /controller-lies.*message-hash-wrong/,
  },
  'drops a message that was accepted': {
    place: 1,
    lie: inBox('ACCEPTED', (list) => list.slice(1)),
    reason: /controller-lies.*message-missing/,
  },
  'shows an accepted message twice': {
    place: 1,
    lie: inBox('ACCEPTED', (list) => [...list, ...list.slice(-1)]),
    reason: /controller-lies.*message-(order|repeated)/,
  },
};

for (const [what, { place, lie, reason }] of Object.entries(LIES)) {
  test(`a controller that ${what} is found out, and the cycle stops`, async (t) => {
    const controller = await privateController(t, store());
    const proxies = await Promise.all([0, 1, 2].map(() => LyingProxy.start(t, controller.url)));
    const together = await foundTogether(t, controller.url, store(), {
      params,
      node: { lingerMs: 60_000 },
      addressOf: (each) => proxies[each]?.url,
    });
    const proxy = proxies[place] as LyingProxy;
    proxy.lie = lie;
    const client = await sendAll(together, [...SENT, 'six']);
    for (const owner of together.owners) run(t, owner);
    await saysSoon(t, together.owners[place] as Owner, reason);
    t.true(proxy.lies > 0);
    t.not((await client.read(await client.init()))?.messages.length, 6);
    // With the truth the same cycle goes on, and nothing is missing.
    proxy.lie = null;
    t.deepEqual(await textsOf(client), [...SENT, 'six'].toSorted());
  });
}

test('a controller that shows another owner, key or parameter is found out by who knows the URL alone', async (t) => {
  const controller = await privateController(t, store());
  const proxy = await LyingProxy.start(t, controller.url);
  const { mixnet } = await foundTogether(t, controller.url, store(), { params });
  const options = { mixnetUrl: mixnet.mixnetUrl, primitives: native, address: proxy.url };
  const stranger = 'ab'.repeat(32);
  const lies: Record<string, (text: string) => string> = {
    owner: (text) => text.replace(/("owner_key_id":")[0-9a-f]{64}/, `$1${stranger}`),
    key: (text) => text.replace(/(\\"public\\":\\")[0-9a-f]{64}/, `$1${stranger}`),
    size: (text) => text.replace(/"size_min":\d+/, '"size_min":1'),
    readers: (text) => text.replace('"public":true', '"public":false'),
  };
  for (const [what, lie] of Object.entries(lies)) {
    proxy.lies = 0;
    proxy.lie = (path, _query, answer) =>
      /\/(peers|endpoints)\//.test(path)
        ? (JSON.parse(lie(JSON.stringify(answer))) as unknown)
        : answer;
    const error = await t.throwsAsync(new BatchClient(options).init(), undefined, what);
    t.regex(error.message, /controller-lies/, what);
    t.true(proxy.lies > 0, what);
  }
  proxy.lie = null;
  await t.notThrowsAsync(new BatchClient(options).init());
});

test('a client is not shown another message, or one less, than all owners have signed', async (t) => {
  const controller = await privateController(t, store());
  const proxy = await LyingProxy.start(t, controller.url);
  const together = await foundTogether(t, controller.url, store(), {
    params,
    node: { lingerMs: 60_000 },
  });
  await sendAll(together, SENT);
  for (const owner of together.owners) run(t, owner);
  const { mixnetUrl } = together.mixnet;
  const client = new BatchClient({ mixnetUrl, primitives: native, address: proxy.url });
  t.is((await textsOf(client)).length, 5);
  const mixnet = await client.init();
  for (const [lie, reason] of [
    [(list: Listed[]) => list.slice(1), /message-missing/],
    [(list: Listed[]) => list.toReversed(), /message-order/],
    [
      (list: Listed[]) => list.map(({ data }) => ({ data: { ...data, text: 'AAAA' } })),
      /message-hash-wrong/,
    ],
  ] as const) {
    proxy.lie = inBox('OUTBOX', lie);
    const error = await t.throwsAsync(client.read(mixnet));
    t.regex(error.message, reason);
  }
});

test('a coordinator who leaves out a message that others have read gets no signatures', async (t) => {
  const controller = await privateController(t, store());
  const together = await foundTogether(t, controller.url, store(), {
    params,
    gateway: { sizeMin: 4 },
  });
  const [coordinator, ...others] = together.owners as [Owner, ...Owner[]];
  await sendAll(together, SENT);
  for (const owner of others) run(t, owner);
  const { options } = coordinator;
  const state = coordinator.state.read();
  const batch = state?.batch as NonNullable<typeof state>['batch'] & object;
  const cycle = await readCycle(options, together.mixnet.mixnetId, batch);
  const info = {
    resource: 'endpoint',
    operation: 'partial_update',
    on_last_consensus_id: batch.last_consensus_id,
  };
  const inbox = new Inbox(options, cycle, Date.now);
  const honest = closeStep(options, inbox, cycle, info);
  const ending = new AbortController();
  const ground: StepGround = {
    party: {
      client: options.client,
      primitives: native,
      peerId: coordinator.identity.peerId,
      now: Date.now,
      pollMs: 20,
      wait: (delayMs) => sleep(delayMs, undefined, { signal: ending.signal }),
    },
    file: coordinator.state,
    log: options.log,
    owners: cycle.links.map((link) => link.peerId),
    coordinator: coordinator.identity.peerId,
    onRefusal: 'wait',
  };
  const cheating = agreeOnStep(ground, {
    ...honest,
    compose: () => ({
      endpoint_id: cycle.gatewayId,
      status: 'CLOSED',
      message_hashes: inbox.messages
        .slice(1)
        .map((one) => one.messageHash)
        .toSorted(),
    }),
  }).catch(() => 'stopped');
  for (const owner of others) await saysSoon(t, owner, /^message-left-out$/);
  t.is((await coordinator.client.getEndpoint('gateway_1'))?.status, 'OPEN');
  ending.abort();
  t.is(await cheating, 'stopped');
});

/** How an owner cheats, at which place of the chain, and what the others say. */
interface Cheat {
  readonly place: number;
  /** Which of its lists of messages it changes. */
  readonly changes: (first: MessageCreate) => boolean;
  readonly change: (list: MessageCreate[]) => MessageCreate[];
  readonly reason: RegExp;
  readonly gateway?: Partial<GatewayTerms>;
}

const ofLink = (box: string) => (first: MessageCreate) =>
  first.box === box && first.endpoint_id !== 'gateway_1';
const CHEATS: Record<string, Cheat> = {
  'drops a message': {
    place: 0,
    changes: ofLink('PROCESSBOX'),
    change: (list) => list.slice(1),
    reason: /count-differs/,
  },
  'takes another message than it was given': {
    place: 0,
    changes: ofLink('INBOX'),
    change: (list) => list.with(0, { ...(list[0] as MessageCreate), text: 'AAAA' }),
    reason: /input-differs/,
  },
  'takes another message than the link before gave it': {
    place: 1,
    changes: ofLink('INBOX'),
    change: (list) => list.with(0, { ...(list[0] as MessageCreate), text: 'AAAA' }),
    reason: /input-differs/,
  },
  'posts another result than its link gave': {
    place: 2,
    changes: (first) => first.box === 'PROCESSBOX' && first.endpoint_id === 'gateway_1',
    change: (list) => list.with(0, { ...(list[0] as MessageCreate), text: 'AAAA' }),
    reason: /result-differs/,
  },
  'puts messages of its own in the place of all that it was given': {
    place: 2,
    changes: (first) => first.box === 'PROCESSBOX',
    change: (list) => list.map((message, index) => ({ ...message, text: `AAAA${index}` })),
    reason: /dummy-lost/,
    // Where somebody adds dummies: 5 are missing, so that every owner adds one at least.
    gateway: { sizeMin: 10, sizeMax: 20, waitMs: 1_000 },
  },
};

for (const [what, cheat] of Object.entries(CHEATS)) {
  test(`an owner who ${what} is found out by the others, and the cycle stops`, async (t) => {
    const controller = await privateController(t, store());
    const { gateway = {} } = cheat;
    const together = await foundTogether(t, controller.url, store(), { params, gateway });
    await sendAll(together, SENT);
    const owners = together.owners.toSorted((left, right) =>
      left.identity.peerId < right.identity.peerId ? -1 : 1,
    );
    const cheater = owners[cheat.place] as Owner;
    Object.assign(cheater.options, { client: new CheatingClient(controller.url, cheater, cheat) });
    for (const owner of owners) run(t, owner);
    const others = owners.filter((owner) => owner !== cheater);
    await anySaysSoon(t, others, cheat.reason);
    t.is((await cheater.client.getEndpoint('gateway_1'))?.status, 'CLOSED');
  });
}

/** The client of an owner who posts something else than it should, and signs that for its own link. */
class CheatingClient extends ControllerClient {
  readonly #cheat: Cheat;
  readonly #link: string;
  readonly #hashes = new Map<string, string[]>();

  constructor(url: string, { identity }: Owner, cheat: Cheat) {
    super({ url, identity, primitives: native });
    this.#cheat = cheat;
    this.#link = linkIdOf(identity.peerId, 'gateway_1');
  }

  override async postMessages(messages: readonly MessageCreate[]): Promise<void> {
    const [first] = messages;
    const cheats = first !== undefined && this.#cheat.changes(first);
    const changed = cheats ? this.#cheat.change([...messages]) : messages;
    if (cheats && first.endpoint_id === this.#link) {
      this.#hashes.set(first.box === 'INBOX' ? 'CLOSED' : 'PROCESSED', hashesOf(native, changed));
    }
    await super.postMessages(changed);
  }

  override decideAlone(body: { data: unknown; info: unknown }): Promise<string> {
    return super.decideAlone({ ...body, data: this.#signed(body.data) });
  }

  override updateEndpoint(
    ...[data, decision]: Parameters<ControllerClient['updateEndpoint']>
  ): ReturnType<ControllerClient['updateEndpoint']> {
    return super.updateEndpoint(this.#signed(data) as typeof data, decision);
  }

  #signed(data: unknown): unknown {
    const { status, endpoint_id: id } = data as { status?: string; endpoint_id?: string };
    const hashes = id === this.#link ? this.#hashes.get(status ?? '') : undefined;
    return hashes ? { ...(data as object), message_hashes: hashes } : data;
  }
}

function inBox(box: string, change: (list: Listed[]) => Listed[]): Lie {
  return (path, query, answer) =>
    /\/messages\/?$/.test(path) && query.get('box') === box ? change(answer as Listed[]) : answer;
}

async function sendAll(together: Owners, messages: readonly string[]): Promise<BatchClient> {
  const { mixnetUrl } = together.mixnet;
  const client = new BatchClient({ mixnetUrl, primitives: native });
  const mixnet = await client.init();
  for (const message of messages) await client.send(mixnet, { message: fromUtf8(message) });
  return client;
}

async function textsOf(client: BatchClient): Promise<string[]> {
  for (const endMs = Date.now() + 40_000; Date.now() < endMs; await sleep(10)) {
    const result = await client
      .init()
      .then((mixnet) => client.read(mixnet))
      .catch(() => null);
    if (result) return result.messages.map(({ message }) => toUtf8(message)).toSorted();
  }
  throw new Error('the cycle did not end');
}

async function saysSoon(t: ExecutionContext, owner: Owner, reason: RegExp): Promise<void> {
  await anySaysSoon(t, [owner], reason);
}

async function anySaysSoon(
  t: ExecutionContext,
  owners: readonly Owner[],
  reason: RegExp,
): Promise<void> {
  const said = (): string[] => owners.flatMap((owner) => reasonsOf(owner));
  for (const endMs = Date.now() + 30_000; Date.now() < endMs; await sleep(20)) {
    if (said().some((each) => reason.test(each))) {
      t.pass();
      return;
    }
  }
  t.fail(`nobody said ${reason.source}, but: ${[...new Set(said())].join('; ')}`);
}
