import test from 'ava';
import { ReplaySet } from '../../src/mixnet/replay.ts';

const tag = (number: number): Uint8Array => new Uint8Array(16).fill(number);

test('a tag is committed once, for each endpoint', (t) => {
  const seen = new ReplaySet();
  t.is(seen.commit('a', tag(1)), 'committed');
  t.is(seen.commit('a', tag(1)), 'replayed');
  t.is(seen.commit('a', tag(2)), 'committed');
  t.is(seen.commit('b', tag(1)), 'committed');
});

test('a full set refuses what is new and still knows what it has seen', (t) => {
  const seen = new ReplaySet(2);
  seen.commit('a', tag(1));
  seen.commit('a', tag(2));
  t.is(seen.commit('a', tag(3)), 'journal-full');
  t.is(seen.commit('a', tag(1)), 'replayed');
  t.is(seen.commit('b', tag(3)), 'committed');
});

test('an endpoint whose secret is gone is forgotten', (t) => {
  const seen = new ReplaySet(1);
  seen.commit('a', tag(1));
  seen.forget('a');
  t.is(seen.commit('a', tag(1)), 'committed');
});
