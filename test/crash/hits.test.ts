/** Whose turn it is: ends and moments alike, but for the few where a second copy is certain. */
import test from 'ava';
import { Hits } from './hits.ts';
import { STEPS } from './steps.ts';
import type { Step } from './step.ts';

function stepOf(name: string): Step {
  const found = STEPS.find((step) => step.name === name);
  if (!found) throw new Error(`no step is called ${name}`);
  return found;
}

function cellsOf(name: string, turns: number): Record<string, number> {
  const hits = new Hits();
  const counts: Record<string, number> = {};
  for (let turn = 0; turn < turns; turn++) {
    const cell = hits.nextCell(stepOf(name), Math.random);
    hits.countCell(stepOf(name), cell);
    const key = `${cell.moment} ${cell.end}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

test('both ends die at both moments of a step, each as often', (t) => {
  const even = { 'before program': 5, 'before other': 5, 'after program': 5, 'after other': 5 };
  t.deepEqual(cellsOf('mix: packets are committed', 20), even);
});

for (const [name, certain] of [
  ['gateway: a mail is delivered', ['after program', 'after other']],
  ['gateway: what became of a delivery is recorded', ['before program']],
] as const) {
  test(`where a second copy is certain ${name.replace('gateway: ', '')} is hit once`, (t) => {
    const counts = Object.entries(cellsOf(name, 20));
    t.is(counts.length, 4);
    for (const [cell, count] of counts) {
      if ((certain as readonly string[]).includes(cell)) t.is(count, 1);
      else t.true(count >= 6);
    }
  });
}
