/**
 * How often a node notices in time that its controller lets one packet through and holds all others (an
 * n-1 attack): trials over the product's own loops, delays, clock and judgement with a fake clock. The
 * attacker first waits until what was in the mix has left, or he would learn nothing.
 */
import test, { type ExecutionContext } from 'ava';
import { drawDelayMs } from '../../src/mixnet/delay.ts';
import { drawOne } from '../../src/mixnet/draw.ts';
import { native } from '../../src/crypto/native.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { Loops, tripDueMs } from '../../src/mixnet/loops.ts';
import { prepareCover, prepareLoop, type PreparedPacket } from '../../src/mixnet/prepare.ts';
import { advanceTicks, startTicks } from '../../src/mixnet/ticks.ts';
import { createSphinx } from '../../src/sphinx/index.ts';
import { madeDirectory, madeNode, NOW_MS } from '../mixnet/made-directory.ts';
import { seededRandom } from '../mixnet/seeded-random.ts';

const TRIALS = 300;
/** Honest minutes before. */
const BEFORE_MS = 240_000;
/** How often a node looks at its loops (src/mixer/loop-watch.ts). */
const JUDGE_MS = 250;
/** What posting, polling and committing take beside the delays, all in all. */
const WORK_MS = 500;
/** Trips to draw from: preparing one takes a ms or more. */
const PREPARED = 400;

const random = seededRandom(55);
const mixes = Array.from({ length: 6 }, (_, i) => madeNode(i + 2));
const gateways = Array.from({ length: 4 }, (_, i) => madeNode(i + 20, { roles: ['gateway'] }));
const directory = madeDirectory([...mixes, ...gateways]);
const { delayMeanMs, ticksPerSecond } = directory.traffic;
const sphinx = createSphinx(directory.params, { ...native, random });
/** Packets in a mix: four gateways' ticks and their answers, three of six mixes each, for a mean delay. */
const INSIDE = (4 * ticksPerSecond * 2 * 3 * delayMeanMs) / 6 / 1_000;

type Trip = Extract<PreparedPacket, { kind: 'packet' }>['trip'];
interface Watcher {
  readonly peerId: string;
  readonly perSecond: number;
  readonly ackDelayMeanMs: number;
  readonly trips: readonly Trip[];
}

const aMix = watcher(mixes[0]?.peerId as string, 2, 0, (me) =>
  prepareLoop(sphinx, random, { directory, me, nowMs: NOW_MS }),
);
const aGateway = watcher(gateways[0]?.peerId as string, ticksPerSecond, delayMeanMs, (entry) => {
  const exit = gateways[1]?.peerId as string;
  return prepareCover(sphinx, geometryOf(sphinx), random, {
    directory,
    entry,
    exit,
    nowMs: NOW_MS,
  });
});

for (const { perSecond, rows } of [
  {
    perSecond: 0.5,
    rows: [
      { wait: 0, noticedMin: 0, unseenMax: 0.06 },
      { wait: 2, noticedMin: 0.1, unseenMax: 0.35 },
      { wait: 4, noticedMin: 0.48, unseenMax: 0.46 },
      { wait: 6, noticedMin: 0.8, unseenMax: 0.18 },
      { wait: 8, noticedMin: 0.92, unseenMax: 0.08 },
    ],
  },
  // The default.
  {
    perSecond: 2,
    rows: [
      { wait: 0, noticedMin: 0.1, unseenMax: 0.03 },
      { wait: 2, noticedMin: 0.85, unseenMax: 0.05 },
      { wait: 4, noticedMin: 0.97, unseenMax: 0.02 },
      { wait: 6, noticedMin: 0.99, unseenMax: 0.01 },
      { wait: 8, noticedMin: 0.99, unseenMax: 0.01 },
    ],
  },
]) {
  test(`with ${perSecond} loops a second a mix notices that all but one packet is held before that one leaves, in a known share of ${TRIALS} trials`, (t) => {
    for (const { wait, noticedMin, unseenMax } of rows) {
      const { noticed, unseen } = tried(t, { ...aMix, perSecond }, wait * delayMeanMs);
      t.log(
        `the attacker waits ${wait} mean delays: noticed in ${percent(noticed)}, ` +
          `alone and unnoticed in ${percent(unseen)}`,
      );
      t.true(noticed >= noticedMin, `${wait}: ${noticed}`);
      t.true(unseen <= unseenMax, `${wait}: ${unseen}`);
    }
  });
}

test('where nobody holds anything there is no alarm in hours', (t) => {
  for (const node of [aMix, aGateway]) {
    const life = new Life(node);
    for (let second = 0; second < 2 * 3_600; second++) {
      life.run(NOW_MS + 1_000 * second);
      t.false(life.loops.judge(life.nowMs).isAlarmed);
    }
  }
});

/** A node's own packets: how they leave by its clock, and come back unless somebody holds them. */
class Life {
  readonly loops: Loops;
  nowMs = NOW_MS;
  /** From when on nothing reaches the node. */
  heldFromMs = Infinity;
  readonly #node: Watcher;
  #clock;
  #under: { readonly id: string; readonly backMs: number }[] = [];
  #sent = 0;

  constructor(node: Watcher) {
    this.#node = node;
    this.loops = new Loops(node.peerId);
    this.#clock = startTicks(random, this.nowMs, node.perSecond);
  }

  run(untilMs: number): void {
    const { perSecond } = this.#node;
    while (this.#clock.dueMs <= untilMs) {
      this.#send(this.#clock.dueMs);
      this.#clock = advanceTicks(random, this.#clock, this.#clock.dueMs, perSecond);
    }
    this.#under = this.#under.filter(({ id, backMs }) => {
      if (backMs > untilMs) return true;
      if (backMs < this.heldFromMs) this.loops.returned(id, backMs);
      return false;
    });
    this.nowMs = untilMs;
  }

  #send(sentMs: number): void {
    const { trips, ackDelayMeanMs } = this.#node;
    const { nodes, delayMs } = drawOne(random, trips) as Trip;
    const id = String(this.#sent++);
    this.loops.sent({ id, nodes, sentMs, dueMs: tripDueMs({ sentMs, delayMs, ackDelayMeanMs }) });
    const backMs = sentMs + delayMs + drawDelayMs(random, ackDelayMeanMs) + WORK_MS;
    this.#under.push({ id, backMs });
  }
}

/** Shares of trials in which the alarm came before the target left, and in which it left alone without. */
function tried(
  t: ExecutionContext,
  node: Watcher,
  waitMs: number,
): { readonly noticed: number; readonly unseen: number } {
  let [noticed, unseen] = [0, 0];
  for (let trial = 0; trial < TRIALS; trial++) {
    const life = new Life(node);
    life.run(NOW_MS + BEFORE_MS);
    if (life.loops.judge(life.nowMs).isAlarmed) t.fail('an alarm before the attack');
    life.heldFromMs = life.nowMs;
    const staysMs = waitMs + drawDelayMs(random, delayMeanMs);
    if (isAlarmedBy(life, life.nowMs + staysMs)) noticed++;
    else if (isAlone(staysMs)) unseen++;
  }
  return { noticed: noticed / TRIALS, unseen: unseen / TRIALS };
}

/** Whether of the packets that were there when the attack began none is left after so long. */
function isAlone(afterMs: number): boolean {
  for (let i = 0; i < INSIDE; i++) {
    if (drawDelayMs(random, delayMeanMs) > afterMs) return false;
  }
  return true;
}

function isAlarmedBy(life: Life, leavesMs: number): boolean {
  while (life.nowMs + JUDGE_MS <= leavesMs) {
    life.run(life.nowMs + JUDGE_MS);
    if (life.loops.judge(life.nowMs).isAlarmed) return true;
  }
  return false;
}

function watcher(
  peerId: string,
  perSecond: number,
  ackDelayMeanMs: number,
  prepare: (me: string) => PreparedPacket,
): Watcher {
  const trips = Array.from({ length: PREPARED }, () => {
    const prepared = prepare(peerId);
    if (prepared.kind === 'none') throw new Error(prepared.reason);
    return prepared.trip;
  });
  return { peerId, perSecond, ackDelayMeanMs, trips };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
