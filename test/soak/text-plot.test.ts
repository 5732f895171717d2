import test from 'ava';
import { residentLines } from './text-plot.ts';

const MB = 2 ** 20;

/** A process whose memory is so many MB, second by second. */
function process(name: string, megabytes: readonly number[]) {
  return { name, resident: megabytes.map((mb, seconds) => ({ seconds, bytes: mb * MB })) };
}

test('bars rise from nothing to the most, and the numbers are first, most and last', (t) => {
  const [mix, gateway] = residentLines([
    process('mix', [10, 20, 30, 40, 50, 60, 70, 80]),
    process('gateway', [80, 80, 160, 80]),
  ]);
  t.is(mix, 'mix      ▁▂▃▄▅▆▇█    10   80   80 MB');
  t.is(gateway, 'gateway  ▄▄█▄    80  160   80 MB');
});

test('of many points none is left out: a short peak shows', (t) => {
  const long = Array.from({ length: 1_800 }, (_, i) => (i === 900 ? 100 : 50));
  t.is(
    residentLines([process('mix', long)])[0],
    `mix  ${'▄'.repeat(30)}█${'▄'.repeat(29)}    50  100   50 MB`,
  );
});
