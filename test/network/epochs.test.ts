/**
 * Mix keys of half a minute: mail flows through many key epochs, while nodes are restarted, killed and away.
 * `npm run epochs` is the long run, without disturbances.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import {
  DRAIN_SHARE,
  endedAtLeast,
  PERIOD_SHARE,
  runEpochs,
  tableOf,
  type EpochFigures,
} from './epochs.ts';
import { programOf } from './hostile-inbox.ts';
import { keyRefusals } from './node-counts.ts';

const KEY_MS = 30_000;
/** Nothing is disturbed for so long. */
const QUIET_MS = 75_000;
const RUN_MS = 150_000;
const OFF_MS = 2 * PERIOD_SHARE * KEY_MS;
/** One look of a node at its keys, and of the test at the files; a busy machine. */
const LATE_MS = 10_000;

let figures: EpochFigures;

test.before(async (t) => {
  figures = await runEpochs({
    keyLifetimeMs: KEY_MS,
    snapshotLifetimeMs: KEY_MS,
    ticksPerSecond: 4,
    mailsPerSecond: 1,
    runMs: RUN_MS,
    patienceMs: 120_000,
    progressMs: 30_000,
    say: (line) => t.log(line),
    disturbances: [
      {
        atMs: QUIET_MS,
        what: 'all nodes are stopped and started, mix-3 two key epochs later; what they counted is that of a quiet time',
        act: async (real) => {
          await Promise.all(real.mixnet.nodes.map(async (node) => await node.stop()));
          for (const node of real.mixnet.nodes) if (node.name !== 'mix-3') node.start();
          await sleep(OFF_MS);
          programOf(real, 'mix-3').start();
        },
      },
      {
        atMs: QUIET_MS + OFF_MS + 10_000,
        what: 'mix-2 is killed and started',
        act: async (real) => {
          await programOf(real, 'mix-2').kill();
          programOf(real, 'mix-2').start();
        },
      },
    ],
  });
  for (const line of tableOf(figures)) t.log(line);
});

test.serial('every mail arrives byte for byte and once, whatever was restarted or away', (t) => {
  const { submitted, delivered, exact, twice, missing, refused } = figures.mail;
  t.deepEqual(refused, []);
  t.deepEqual(missing, []);
  t.is(exact, submitted);
  t.is(delivered, submitted);
  t.is(twice, 0);
  t.true(submitted > 100);
});

test.serial('no packet is refused for its key while nobody stops a node', (t) => {
  for (const { node, first } of figures.nodes) {
    t.deepEqual(keyRefusals(first), {}, node);
    t.true((first['forward'] ?? first['cover'] ?? 0) > 100, `${node} has counted nothing`);
  }
});

test.serial('keys change by themselves, on time, and end on time', (t) => {
  for (const { node, keys, ended } of figures.nodes) {
    const awayMs = node === 'mix-3' ? OFF_MS + KEY_MS : 0;
    const least = endedAtLeast(figures.untilMs - figures.fromMs - awayMs, KEY_MS);
    t.true(ended.length >= least, `${node}: ${ended.length} of ${least} keys have ended`);
    t.true(keys.length > ended.length, `${node}: no key is left`);
    for (const { closesMs, goneMs, endpointId } of keys) {
      if (node === 'mix-3') continue;
      const endMs = goneMs ?? figures.untilMs;
      const lateMs = endMs - closesMs - DRAIN_SHARE * KEY_MS;
      const times = [closesMs, endMs].map((ms) => `${Math.round((ms - figures.fromMs) / 1000)} s`);
      t.true(
        lateMs < LATE_MS,
        `${node} ${endpointId} closes at ${times[0]} and ends at ${times[1]}`,
      );
    }
  }
});

test.serial('an ended key is in no file, in no spelling; the search finds those that live', (t) => {
  t.deepEqual(figures.planted, ['raw', 'hex', 'base64', 'base64url']);
  t.deepEqual(figures.findings, []);
  t.deepEqual(figures.remains, [], 'a key file was unlinked before its bytes were overwritten');
  for (const { node, ended } of figures.nodes) {
    const found = ended.filter(({ foundIn }) => foundIn.length >= 2);
    t.true(found.length > 0, `${node}: no key was found while it lived`);
  }
});

test.serial('what an ended key has sealed opens with nothing that is left', (t) => {
  for (const { node, ended } of figures.nodes) {
    const sealed = ended.filter((key) => key.sealed.length > 0);
    t.true(sealed.length > 0, `${node}: no packet was taken along that a key had sealed`);
  }
  t.deepEqual(figures.opened.ofEnded, []);
  t.true(figures.opened.ofLiving > 0, 'with what is left nothing opens that should');
});
