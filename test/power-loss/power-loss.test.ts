/**
 * The power of a whole mixnet fails under mail, at two moments: what was accepted arrives, once, and no old packet
 * passes again. Then the same with Redis that syncs once a second, which must lose something: else the cuts prove nothing.
 */
import test from 'ava';
import { failuresOf, runPowerCuts, summaryOf } from './run.ts';

test('power cuts cost no accepted mail and let no old packet pass, but with everysec they do', async (t) => {
  const figures = await runPowerCuts({
    outages: 2,
    mixes: 2,
    mailsPerSecond: 4,
    ticksPerSecond: 8,
    syncMs: 5,
    random: Math.random,
    say: (line) => t.log(line),
  });
  for (const line of summaryOf(figures)) t.log(line);
  t.deepEqual(failuresOf(figures), []);
});
