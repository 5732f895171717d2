import test from 'ava';
import { Documents } from '../../controller/documents.ts';
import { sharedStore } from './private-controller.ts';

const store = sharedStore(test);
let count = 0;

function documents(): Documents {
  return new Documents(store().redis, `${store().prefix}:documents${++count}`);
}

test('a change is written whole, or not at all where something expected is no longer so', async (t) => {
  const own = documents();
  const [a, b] = [own.key('thing', 'a'), own.key('thing', 'b')];
  const before = await own.read<number>(a);
  t.deepEqual(before, { key: a, version: '', value: null });
  const write = (value: number) => ({
    expect: [before],
    put: [
      { key: a, value, ttlMs: null },
      { key: b, value, ttlMs: 60_000 },
    ],
    index: [{ key: own.key('things'), score: value, member: `${value}` }],
  });
  t.is(await own.commit(write(1)), 'done');
  t.is(await own.commit(write(2)), 'conflict', 'it is there now');
  const [first, second] = await own.readMany<number>([a, b]);
  t.deepEqual([first?.value, second?.value], [1, 1]);
  t.deepEqual(await own.members(own.key('things'), 9, 'lowest'), ['1']);
  t.is(await own.redis.pttl(a), -1);
  t.true((await own.redis.pttl(b)) > 0);
  t.is(await own.commit({ keepForGood: [b] }), 'done');
  t.is(await own.redis.pttl(b), -1);
});

test('a change that expects a field of a hash is refused when the field has moved', async (t) => {
  const own = documents();
  const [key, hash] = [own.key('thing'), own.key('position')];
  const put = [{ key, value: 1, ttlMs: null }];
  const expecting = (is: string) => ({ fields: [{ key: hash, field: 'last', is }], put });
  await own.redis.hset(hash, 'last', '7');
  t.is(await own.commit(expecting('')), 'conflict');
  t.is(await own.commit(expecting('6')), 'conflict');
  t.is((await own.read(key)).value, null);
  t.is(await own.commit(expecting('7')), 'done');
});

test('a set that is full refuses the change, and members whose time is over do not count', async (t) => {
  const own = documents();
  const key = own.key('open');
  const add = (member: string, nowMs: number) =>
    own.commit({
      limits: [{ key, max: 2, nowMs }],
      prune: [{ key, nowMs }],
      put: [{ key: own.key('thing', member), value: member, ttlMs: null }],
      index: [{ key, score: nowMs + 10, member }],
    });
  t.deepEqual([await add('a', 0), await add('b', 1), await add('c', 2)], ['done', 'done', 'limit']);
  t.is((await own.read(own.key('thing', 'c'))).value, null);
  t.is(await add('c', 10), 'done');
  t.deepEqual(await own.members(key, 9, 'highest'), ['c', 'b']);
});

test('a document that was removed and made anew is not taken for the old one', async (t) => {
  const own = documents();
  const key = own.key('thing');
  const put = [{ key, value: 1, ttlMs: null }];
  await own.commit({ put });
  const old = await own.read(key);
  await own.commit({ remove: [key] });
  await own.commit({ put });
  t.is(await own.commit({ expect: [old], put }), 'conflict');
});

test('a hundred who count at the same moment lose no step', async (t) => {
  const own = documents();
  const key = own.key('count');
  await Promise.all(
    Array.from({ length: 100 }, () =>
      own.untilCommitted(async () => {
        const before = await own.read<number>(key);
        const put = [{ key, value: (before.value ?? 0) + 1, ttlMs: null }];
        const committed = await own.commit({ expect: [before], put });
        return committed === 'done' ? true : 'conflict';
      }),
    ),
  );
  t.is((await own.read(key)).value, 100);
});
