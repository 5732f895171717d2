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
});

test('a document stays until the last of its keepers has let go', async (t) => {
  const own = documents();
  const key = own.key('thing');
  const keep = async (keeper: string, ttlMs: number | null): Promise<number> => {
    await own.commit({ keeps: [{ keys: [key], keepers: own.key('keepers'), keeper, ttlMs }] });
    return await own.redis.pttl(key);
  };
  await own.commit({ put: [{ key, value: 1, ttlMs: 60_000 }] });
  t.is(await keep('one', null), -1);
  t.is(await keep('two', null), -1);
  t.is(await keep('one', 5_000), -1, 'another keeps it');
  const left = await keep('two', 5_000);
  t.true(left > 0 && left <= 5_000);
  t.is(await keep('one', null), -1, 'and whoever comes back keeps it again');
});

test('members move between sorted sets with their scores, all of them or none', async (t) => {
  const own = documents();
  const [from, to, held] = [own.key('from'), own.key('to'), own.key('held')];
  await own.redis.zadd(from, 1, 'a', 2, 'b', 3, 'c');
  await own.redis.hset(held, '1', 'A', '1:m', 'about A', '3', 'C', '3:m', 'about C', '4', 'D');
  const move = (...members: string[]) => own.commit({ moves: [{ from, to, members }] });
  t.is(await move('a', 'x'), 'conflict');
  t.is(await own.redis.zcard(from), 3);
  t.is(await move('a', 'c'), 'done');
  t.deepEqual(await own.redis.zrange(to, 0, '-1', 'WITHSCORES'), ['a', '1', 'c', '3']);
  t.deepEqual(await own.redis.zrange(from, 0, '-1'), ['b']);
  t.is(await move('a'), 'conflict', 'it is no longer there');
  await own.commit({ trims: [{ key: to, keep: 5 }] });
  t.is(await own.redis.zcard(to), 2);
  await own.commit({ drops: [{ key: to, held }], lifetimes: [{ key: held, ttlMs: 9_000 }] });
  t.is(await own.redis.exists(to), 0);
  t.deepEqual(await own.redis.hgetall(held), { 4: 'D' }, 'what others name stays');
  t.true((await own.redis.pttl(held)) > 0);
  await own.commit({ lifetimes: [{ key: held, ttlMs: null }] });
  t.is(await own.redis.pttl(held), -1);
  await own.redis.zadd(to, 1, 'a', 2, 'b', 3, 'c');
  await own.commit({ trims: [{ key: to, keep: 2 }] });
  t.deepEqual(await own.redis.zrange(to, 0, '-1'), ['b', 'c']);
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
