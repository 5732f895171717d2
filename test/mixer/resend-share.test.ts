import test from 'ava';
import {
  afterTaking,
  decideSendKind,
  FIRSTS_BETWEEN_RESENDS,
  NO_SENDS,
} from '../../src/mixer/resend-share.ts';

/** What a row of ticks takes, by what waits at each: f for first sends, r for resends. */
function taken(waiting: readonly string[]): string {
  let share = NO_SENDS;
  return waiting
    .map((waits) => {
      const kind = decideSendKind(share, {
        first: waits.includes('f'),
        resend: waits.includes('r'),
      });
      if (kind !== null) share = afterTaking(share, kind);
      return kind?.[0] ?? '-';
    })
    .join('');
}

test('where both wait, every third tick takes a resend', (t) => {
  t.is(FIRSTS_BETWEEN_RESENDS, 2);
  t.is(taken(Array.from({ length: 9 }, () => 'fr')), 'ffrffrffr');
});

test('where one kind waits alone it takes every tick', (t) => {
  t.is(taken(['f', 'f', 'f', 'f']), 'ffff');
  t.is(taken(['r', 'r', 'r', 'r']), 'rrrr');
  t.is(taken(['', 'r', '', 'f']), '-r-f');
});

test('resends that were sent while nothing else waited are not made up for', (t) => {
  t.is(taken(['r', 'r', 'r', 'fr', 'fr', 'fr', 'fr']), 'rrrffrf');
});

test('first sends that left before give a resend its turn at once', (t) => {
  t.is(taken(['f', 'f', 'f', 'f', 'fr', 'fr', 'fr', 'fr']), 'ffffrffr');
});
