import test from 'ava';
import { Backlog } from '../../src/mixer/backlog.ts';

const ADA = 'ada@alpha.test';
const EVE = 'eve@alpha.test';

test('who fills the storage leaves half of it, and others do not feel it', (t) => {
  const backlog = new Backlog();
  let [room, mails] = [1_000, 0];
  while (!backlog.isOver(EVE, 10, room) && mails < 1_000) {
    backlog.add(`m${mails++}`, EVE, 10);
    room -= 10;
  }
  t.is(room, 500);
  t.false(backlog.isOver(ADA, 400, room));
  t.true(backlog.isOver('Eve+more@alpha.test', 10, room), 'the same sender');
});

test('two who fill it leave a third', (t) => {
  const backlog = new Backlog();
  let [room, mails, isOpen] = [900, 0, true];
  while (isOpen) {
    isOpen = false;
    for (const sender of [ADA, EVE]) {
      if (backlog.isOver(sender, 10, room)) continue;
      isOpen = true;
      backlog.add(`m${mails++}`, sender, 10);
      room -= 10;
    }
  }
  t.true(Math.abs(room - 300) <= 20, String(room));
});

test('who has nothing waiting may send one mail of any size', (t) => {
  const backlog = new Backlog();
  t.false(backlog.isOver(ADA, 1_000_000, 10));
  backlog.add('m', ADA, 1);
  t.true(backlog.isOver(ADA, 10, 10));
  t.false(backlog.isOver(ADA, 10, null), 'a storage without a limit');
});

test('a mail counts once, whole, in fragments, and no more when its exit has them', (t) => {
  const backlog = new Backlog();
  backlog.add('m', ADA, 100);
  backlog.add('m', ADA, 100);
  t.is(backlog.of(ADA), 100);
  backlog.cut('m', ADA, 100, ['a', 'b', 'c']);
  t.is(Math.round(backlog.of(ADA)), 100);
  backlog.gone('b');
  backlog.gone('b');
  t.is(Math.round(backlog.of(ADA)), 67);
  for (const id of ['a', 'c', 'unknown']) backlog.gone(id);
  t.is(backlog.of(ADA), 0);
  backlog.cut('n', ADA, 50, ['d']);
  t.is(backlog.of(ADA), 50, 'one that was taken in before the start counts from its cutting on');
});
