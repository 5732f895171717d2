/**
 * kill -9 at every step between collecting a packet and forgetting it, the steps seen from outside, in
 * what a node sends to its Redis and to controllers. Whatever it was given leaves it, in the
 * same bytes, and is stored once by who gets it.
 */
import test from 'ava';
import { fromUtf8 } from '../../src/bytes.ts';
import { Tally } from '../../src/cli/demo/arrivals.ts';
import { AllKeys } from './all-keys.ts';
import { programOf, startBehindDoors, type DooredMixnet, type Step } from './hostile-inbox.ts';
import { Ledger, type Owed } from './ledger.ts';
import { until } from './real-mixnet.ts';
import { RedisSteps, type RedisStep } from './redis-steps.ts';

/** Every step of a packet through a mix, in order; `before` it is done, or `after` it, unknown to the node. */
const AT_A_MIX: readonly Point[] = [
  ['an INBOX is listed', { door: 'list' }, 'after'],
  ['a tag is looked for', { redis: 'tag lookup' }, 'before'],
  ['a tag is looked for', { redis: 'tag lookup' }, 'after'],
  ['packets are committed', { redis: 'commit' }, 'before'],
  ['packets are committed', { redis: 'commit' }, 'after'],
  ['their jobs are added', { redis: 'mixing job' }, 'before'],
  ['their jobs are added', { redis: 'mixing job' }, 'after'],
  ['their messages are released', { door: 'release' }, 'before'],
  ['their messages are released', { door: 'release' }, 'after'],
  ['a packet is posted', { door: 'post' }, 'before'],
  ['a packet is posted', { door: 'post' }, 'after'],
  ['its record is removed', { redis: 'removal of a record' }, 'before'],
  ['its record is removed', { redis: 'removal of a record' }, 'after'],
];
/** Where an exit differs: it commits fragments, and answers. */
const AT_AN_EXIT: readonly Point[] = [
  ['packets are committed', { redis: 'commit' }, 'before'],
  ['packets are committed', { redis: 'commit' }, 'after'],
  ['their messages are released', { door: 'release' }, 'before'],
  ['an answer is posted', { door: 'post' }, 'after'],
];
/** Where an entry differs: its packets come from a clock. */
const AT_AN_ENTRY: readonly Point[] = [
  ['a packet of its clock is stored', { redis: 'packet of a tick' }, 'before'],
  ['a packet of its clock is stored', { redis: 'packet of a tick' }, 'after'],
  ['a packet is posted', { door: 'post' }, 'after'],
];

type Point = readonly [
  what: string,
  at: { readonly redis: RedisStep } | { readonly door: Step },
  when: 'before' | 'after',
];

const REACH_MS = 20_000;
/** A job that a killed worker had is back after 15 s (src/redis); all else is faster. */
const LEAVE_MS = 60_000;
const START_MS = 20_000;
const LOOK_MS = 50;
const DELIVERY_MS_MAX = 500;

let net: DooredMixnet;
let keys: AllKeys;
let ledger: Ledger;
const steps = new Map<string, RedisSteps>();
const tally = new Tally();
const firstArrivals = new Map<string, number>();
const twice: { readonly recipient: string; readonly firstMs: number }[] = [];
const exitDeathsMs: number[] = [];
let looking: NodeJS.Timeout;
/** What each kill found on its way. */
const rounds: { readonly title: string; readonly owed: readonly Owed[] }[] = [];

test.before(async () => {
  net = await startBehindDoors({ ticksPerSecond: 5 });
  const victims = ['mix-1', 'alpha', 'beta'];
  keys = new AllKeys(net.real);
  ledger = new Ledger(keys, net.doors, victims);
  for (const name of victims) {
    const peer = net.real.mixnet.peers.find((each) => each.name === name);
    const between = new RedisSteps(peer?.nodeDataDir ?? '');
    await between.open();
    steps.set(name, between);
    await restart(name);
  }
  looking = setInterval(noteArrivals, LOOK_MS);
});

test.after.always(async () => {
  clearInterval(looking);
  for (const between of steps.values()) await between.close();
  await net?.stop();
});

for (const [victim, points] of [
  ['mix-1', AT_A_MIX],
  ['beta', AT_AN_EXIT],
  ['alpha', AT_AN_ENTRY],
] as const) {
  for (const [what, at, when] of points) {
    test.serial(`${victim} dies ${when} ${what}, and starts again`, async (t) => {
      await submit(t.title);
      const owed = await killAt(victim, at, when);
      rounds.push({ title: t.title, owed });
      await restart(victim);
      t.true(owed.length > 0);
    });
  }
}

test.serial('then all that came has left, in the same bytes', async (t) => {
  for (const { title, owed } of rounds) {
    await until(title, () => ledger.missing(owed).length === 0, LEAVE_MS).catch(() => undefined);
    t.deepEqual(ledger.missing(owed), [], title);
  }
});

test.serial('and no controller has stored a packet twice', (t) => {
  for (const name of steps.keys()) t.deepEqual(ledger.storedTwice(name), []);
});

test.serial('and nothing else has left but what each node sends of its own', (t) => {
  for (const packet of ledger.own('mix-1')) t.is(ledger.endOf(packet).end, 'reply at mix-1');
  for (const name of ['alpha', 'beta']) {
    const own = ledger.own(name);
    t.true(own.length > 0);
    for (const packet of own) t.regex(ledger.endOf(packet).end, /^(mail|cover) at (alpha|beta)$/);
  }
});

test.serial(
  'and every mail has arrived, byte for byte, twice only where its exit died over it',
  async (t) => {
    const all = (): boolean => {
      noteArrivals();
      return tally.complete;
    };
    await until('all mails arrive', all, LEAVE_MS).catch(() => t.log(tally.missing));
    t.is(tally.exact, rounds.length);
    for (const { recipient, firstMs } of twice) {
      // Between the mail server's 250 and the record of it: some ms, and how often we look.
      const died = exitDeathsMs.some((atMs) => Math.abs(atMs - firstMs) < DELIVERY_MS_MAX);
      t.true(died, `${recipient} came twice, and its exit did not die meanwhile`);
    }
  },
);

/** Looks every 50 ms: a mail's first arrival is held against the deaths of its exit. */
function noteArrivals(): void {
  for (const arrival of net.real.arrived()) {
    for (const { recipient } of tally.note(arrival)) {
      const firstMs = firstArrivals.get(recipient);
      if (firstMs === undefined) firstArrivals.set(recipient, Date.now());
      else twice.push({ recipient, firstMs });
    }
  }
}

/** Kills a node at a step; what it owed at that moment. */
async function killAt(victim: string, at: Point[1], when: Point[2]): Promise<readonly Owed[]> {
  const program = programOf(net.real, victim);
  let reached: readonly Owed[] | null = null;
  const strike = (): boolean => {
    if (reached !== null) return false;
    reached = ledger.owed();
    process.kill(program.pid as number, 'SIGKILL');
    if (victim === 'beta') exitDeathsMs.push(Date.now());
    return false;
  };
  const redis = steps.get(victim) as RedisSteps;
  if ('redis' in at) {
    redis.onStep = (step, moment) =>
      step === at.redis && (moment === 'asked') === (when === 'before') ? strike() : true;
  } else {
    for (const [name, door] of net.doors) {
      door.onExchange = ({ step, moment, sender }) => {
        if (step !== at.door || (moment === 'asked') !== (when === 'before')) return true;
        return (sender === null ? name : keys.nameOf(sender)) === victim ? strike() : true;
      };
    }
  }
  await until(`${victim} comes to it`, () => reached !== null, REACH_MS);
  await program.kill();
  redis.onStep = () => true;
  for (const door of net.doors.values()) door.onExchange = () => true;
  return reached ?? [];
}

async function restart(name: string): Promise<void> {
  const program = programOf(net.real, name);
  await program.kill();
  program.start();
}

async function submit(title: string): Promise<void> {
  const number = rounds.length;
  const to = `bob+${number}@beta.example`;
  const data = fromUtf8(`Subject: ${title}\r\n\r\n${'.line\r\n'.repeat(100 * number)}`);
  tally.expect(to, data);
  const opted = Buffer.concat([fromUtf8('X-PANORAMIX-Mixable: yes\r\n'), data]);
  const mail = { from: 'ada@alpha.example', to: [to], data: opted, queueId: `CRASH${number}` };
  await net.real.submit('alpha', mail, START_MS);
}
