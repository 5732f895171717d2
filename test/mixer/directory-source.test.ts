import test from 'ava';
import { limitedRefresh } from '../../src/mixer/directory-source.ts';

test('a newer directory is asked for at most every ten seconds, however many packets want one', async (t) => {
  let nowMs = 0;
  let asked = 0;
  const refresh = limitedRefresh(
    { refresh: async () => await Promise.resolve(asked++) },
    () => nowMs,
  );
  for (let i = 0; i < 100; i++) await refresh();
  t.is(asked, 1);
  nowMs = 9_999;
  await refresh();
  t.is(asked, 1);
  nowMs = 10_000;
  await refresh();
  t.is(asked, 2);
});

test('who asks while an answer is under way waits for that answer', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let answered = false;
  const refresh = limitedRefresh({ refresh: async () => await promise });
  const waiting = [refresh(), refresh()].map(async (asking) => {
    await asking;
    return answered;
  });
  answered = true;
  resolve();
  t.deepEqual(await Promise.all(waiting), [true, true]);
});

test('after an answer that failed the next one is asked for in its turn', async (t) => {
  let nowMs = 0;
  let asked = 0;
  const refresh = limitedRefresh(
    {
      refresh: async () => {
        asked += 1;
        await Promise.reject(new Error('a test'));
      },
    },
    () => nowMs,
  );
  await t.throwsAsync(refresh(), { message: 'a test' });
  await t.notThrowsAsync(refresh());
  nowMs = 10_000;
  await t.throwsAsync(refresh(), { message: 'a test' });
  t.is(asked, 2);
});

test('a controller that hangs held up every packet behind one with a made-up hop', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>();
  let nowMs = 0;
  const refresh = limitedRefresh({ refresh: async () => await promise }, () => nowMs);
  const first = refresh();
  nowMs = 2_000;
  // Two seconds are over for who asks now; the first waits for them in real time.
  await refresh();
  await first;
  await refresh();
  resolve();
  t.pass();
});
