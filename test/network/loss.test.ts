/**
 * Mail over controllers that lose packets after their 201: they drop some of what they took, hand some out
 * twice, and all out of order. Only resending end to end can help; every mail arrives, once, byte
 * for byte. PANORAMIX_TEST_LOSS=all measures the README's figures, with loss at every INBOX.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { fromUtf8 } from '../../src/bytes.ts';
import { Tally } from '../../src/cli/demo/arrivals.ts';
import { native } from '../../src/crypto/native.ts';
import { AllKeys } from './all-keys.ts';
import { programOf, startBehindDoors, type DooredMixnet } from './hostile-inbox.ts';
import { Ledger } from './ledger.ts';
import { Lossy, type LossCounts } from './lossy.ts';
import { until } from './real-mixnet.ts';

const IS_LONG = process.env['PANORAMIX_TEST_LOSS'] === 'all';
const MAILS = IS_LONG ? 50 : 20;
const DEAD_MS = IS_LONG ? 60_000 : 30_000;
/** With three mixes each packet passes it, and each answer. */
const HOSTILE = 'mix-1';
const DUPLICATE = 0.05;
const LATE = 0.1;
const DROP_MAX = 0.1;
const HONEST = { drop: 0, duplicate: 0, late: 0 };
const PATIENCE_MS = IS_LONG ? 1_800_000 : 240_000;
/** Time for a second copy, were there one, to come out. */
const SETTLE_MS = 3_000;

let net: DooredMixnet;
let ledger: Ledger;
const lossy = new Map<string, Lossy>();
let runs = 0;

test.before(async () => {
  net = await startBehindDoors({ ticksPerSecond: 5 });
  ledger = new Ledger(new AllKeys(net.real), net.doors, ['alpha']);
  for (const [name, door] of net.doors) {
    const loss = new Lossy(native.random, HONEST);
    door.alter = loss.alter;
    lossy.set(name, loss);
  }
});

test.after.always(async () => {
  await net?.stop();
});

for (const drop of IS_LONG ? [0, 0.01, 0.05, DROP_MAX] : []) {
  test.serial(`every mail arrives once where each INBOX drops ${100 * drop} %`, async (t) => {
    t.timeout(PATIENCE_MS + 60_000);
    await carry(t, drop, [...lossy.keys()], async () => undefined);
  });
}

test.serial(
  `every mail arrives once where one mix drops ${100 * DROP_MAX} % and another is dead for ${DEAD_MS / 1000} s`,
  async (t) => {
    t.timeout(PATIENCE_MS + 60_000);
    await carry(t, DROP_MAX, [HOSTILE], async () => {
      const mix = programOf(net.real, 'mix-2');
      await mix.kill();
      await sleep(DEAD_MS);
      mix.start();
    });
  },
);

async function carry(
  t: ExecutionContext,
  drop: number,
  hostile: readonly string[],
  strike: () => Promise<void>,
): Promise<void> {
  const loss = { drop, duplicate: DUPLICATE, late: LATE };
  for (const [name, each] of lossy) each.start(hostile.includes(name) ? loss : HONEST);
  const ownBefore = ledger.own('alpha').length;
  const tally = new Tally();
  const tookMs: number[] = [];
  const startMs = Date.now();
  const note = (): boolean => {
    for (const arrival of net.real.arrived()) {
      const before = tally.delivered;
      tally.note(arrival);
      if (tally.delivered > before) tookMs.push(Date.now() - startMs);
    }
    return tally.complete;
  };
  await submitAll(tally, ++runs);
  await until('some have arrived', () => note() || tookMs.length > 2, PATIENCE_MS);
  await strike();
  await until('all mails arrive', note, PATIENCE_MS).catch((error: unknown) => {
    t.log(`missing: ${tally.missing.join(' ')}`);
    throw error;
  });
  await sleep(SETTLE_MS);
  note();
  t.is(tally.exact, MAILS);
  t.is(tally.twice, 0);
  report(t, drop, ownBefore, tookMs);
}

async function submitAll(tally: Tally, run: number): Promise<void> {
  const mails = Array.from({ length: MAILS }, (_, i) => {
    const to = `bob+${run}.${i}@beta.example`;
    // 50 bytes to 80 kB: one to three fragments.
    const data = fromUtf8(`Subject: ${run}.${i}\r\n\r\n${'.line\r\n'.repeat(1 + 2857 * (i % 5))}`);
    tally.expect(to, data);
    return { to, data, queueId: `LOSS${run}N${i}` };
  });
  for (const { to, data, queueId } of mails) {
    const opted = Buffer.concat([fromUtf8('X-PANORAMIX-Mixable: yes\r\n'), data]);
    const mail = { from: 'ada@alpha.example', to: [to], data: opted, queueId };
    await net.real.submit('alpha', mail, PATIENCE_MS);
  }
}

function report(
  t: ExecutionContext,
  drop: number,
  ownBefore: number,
  tookMs: readonly number[],
): void {
  const parts = ledger
    .own('alpha')
    .slice(ownBefore)
    .flatMap((packet) => ledger.endOf(packet).part ?? []);
  const fragments = new Set(parts).size;
  t.log(
    `drop ${100 * drop} %: ${MAILS} mails, ${fragments} fragments, ` +
      `${parts.length - fragments} sent again; first, median and last mail after ` +
      `${seconds(tookMs[0])}, ${seconds(tookMs[tookMs.length >> 1])}, ${seconds(tookMs.at(-1))} s; ` +
      `of ${sum('packets')} packets handed out ${sum('dropped')} dropped, ` +
      `${sum('duplicated')} doubled, ${sum('late')} late`,
  );
  if (drop > 0) t.true(parts.length > fragments, 'nothing was sent again');
}

function sum(name: keyof LossCounts): number {
  return [...lossy.values()].reduce((total, { counts }) => total + counts[name], 0);
}

function seconds(ms: number | undefined): string {
  return ((ms ?? 0) / 1000).toFixed(1);
}
