import test from 'ava';
import { Askers } from '../../src/mixer/askers.ts';

const TURN_MS = 3_600_000;

test('who asks every minute is heeded twice a turn, and keeps nobody else from being heeded', (t) => {
  const askers = new Askers();
  let number = 1;
  let heeded = 0;
  for (let minute = 0; minute < 24 * 60; minute++) {
    if (!askers.heed(['eager'], number, minute * 60_000, TURN_MS)) continue;
    heeded++;
    number++;
  }
  t.is(heeded, 2 * 24);
  t.false(askers.heed(['eager'], number, 23.5 * TURN_MS, TURN_MS));
  t.true(askers.heed(['eager', 'other'], number, 23.5 * TURN_MS, TURN_MS));
});

test('who joins what another has asked for has asked for nothing', (t) => {
  const askers = new Askers();
  for (const number of [1, 2]) t.true(askers.heed(['one', 'two'], number, number, TURN_MS));
  for (const number of [3, 4]) t.true(askers.heed(['two'], number, number, TURN_MS));
  t.false(askers.heed(['one', 'two'], 5, 5, TURN_MS));
});

test('who was heeded still may ask while no snapshot has come of it', (t) => {
  const askers = new Askers();
  for (const nowMs of [0, 1, 2, 3, 4]) t.true(askers.heed(['one'], 1, nowMs, TURN_MS));
  t.true(askers.heed(['one'], 2, 5, TURN_MS));
  t.false(askers.heed(['one'], 3, 6, TURN_MS));
  t.true(askers.heed(['one'], 3, TURN_MS, TURN_MS));
});
