/** Each thing that must not be fails a run, and names itself. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { endedByThemselves, faultsOf } from './faults.ts';
import type { Twice, TwiceCause, Verdict } from './ledger.ts';
import { rowsOf, type Strike } from './table.ts';

const STEP = 'mix: packets are committed';
const FINE: Verdict = {
  offered: 10,
  accepted: 10,
  unknown: 0,
  unknownArrived: 0,
  refusals: 3,
  arrived: 10,
  lost: [],
  altered: [],
  twice: [],
  strangers: [],
  lateMs: { p50: 1, p95: 1, max: 1 },
};
const STRIKE: Strike = {
  step: STEP,
  moment: 'before',
  victim: 'mix-1',
  kind: 'mix',
  atMs: 0,
  wellAfterMs: 4_000,
  alarms: 1,
  looks: 3,
  lies: 0,
};

function faults(verdict: Partial<Verdict>, strike: Partial<Strike> = {}, hitsEach = 1): string[] {
  const strikes = [{ ...STRIKE, ...strike }];
  return faultsOf({ ...FINE, ...verdict }, strikes, rowsOf([STEP], strikes), hitsEach);
}

function copies(count: number, cause: TwiceCause): Twice[] {
  return Array.from({ length: count }, (_, number) => ({ number, cause, copies: [] }));
}

test('a run without a fault passes, refusals and explained copies included', (t) => {
  t.deepEqual(faults({}), []);
  t.deepEqual(faults({ twice: copies(10, 'exit died') }), []);
  t.deepEqual(faults({ twice: copies(50, 'postfix delivered twice') }), []);
  t.deepEqual(faults({ accepted: 20_000, twice: copies(20, 'exit died') }), []);
});

for (const [fault, verdict, strike] of [
  ['no mail was accepted', { accepted: 0 }, {}],
  ['2 lost: 3, 4', { lost: [3, 4] }, {}],
  ['1 altered: /mail/7', { altered: [{ number: 7, path: '/mail/7' }] }, {}],
  ['1 nobody waits for: /mail/8', { strangers: ['/mail/8'] }, {}],
  ['1 twice, and no death explains it: 0', { twice: copies(1, null) }, {}],
  ['11 twice, more than 10', { twice: copies(11, 'postfix died unheard') }, {}],
  [`1 not well within a minute: mix-1 (${STEP})`, {}, { wellAfterMs: null }],
  ['1 called well while down: mix-1', {}, { lies: 1 }],
  [`1 hit less than 1 times: ${STEP}: 0`, {}, { step: 'another' }],
] as const) {
  test(`a run fails: ${fault}`, (t) => {
    t.deepEqual(faults(verdict, strike), [fault]);
  });
}

test('a program that died of its own error is named with its last words', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-crash-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const logOf = (name: string): string => join(folder, name);
  writeFileSync(logOf('alpha'), '{"msg":"Gateway runs"}\n{"msg":"stopping"}\n');
  writeFileSync(logOf('beta'), '{"msg":"ended by an error that nobody handled"}\n');
  const programs = [{ name: 'alpha' }, { name: 'beta' }] as never;
  t.deepEqual(await endedByThemselves({ programs, logOf }), [
    'beta died of its own error: {"msg":"ended by an error that nobody handled"}',
  ]);
});
