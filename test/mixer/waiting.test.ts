import test from 'ava';
import { Waiting } from '../../src/mixer/waiting.ts';

test('a packet counts once, however often it is tried, until it has left', (t) => {
  const waiting = new Waiting();
  t.true(waiting.enter('a', 'own', 'hop'));
  t.true(waiting.enter('a', 'own', 'hop'));
  t.is(waiting.count('own', 'hop'), 1);
  waiting.leave('a');
  waiting.leave('a');
  t.is(waiting.count('own', 'hop'), 0);
});

test('own packets and those of others, and those for two hops, have limits apart', (t) => {
  const waiting = new Waiting();
  t.true(waiting.enter('a', 'others', 'hop', 1));
  t.false(waiting.enter('b', 'others', 'hop', 1));
  t.true(waiting.enter('a', 'others', 'hop', 1), 'who waits already goes on');
  t.true(waiting.enter('c', 'others', 'other hop', 1));
  t.true(waiting.enter('d', 'own', 'hop', 1));
  t.is(waiting.count('others', 'hop'), 1);
  waiting.leave('a');
  t.true(waiting.enter('b', 'others', 'hop', 1));
});
