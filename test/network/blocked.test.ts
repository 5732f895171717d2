/**
 * A mix whose own controller holds all that comes for it but the packets that it wants to follow: the mix
 * notices by its loops, says so in log and `status`, and holds those packets back, until all comes again.
 * In which share of trials it notices in time is what blocked-trials.test.ts says.
 */
import { readFileSync } from 'node:fs';
import test from 'ava';
import { fromUtf8, toBase64url } from '../../src/bytes.ts';
import { readStatus } from '../../src/cli/status.ts';
import { readConfig } from '../../src/config.ts';
import { deliverRouting, relayRouting } from '../../src/sphinx/index.ts';
import { AllKeys } from './all-keys.ts';
import { startBehindDoors, stopAndCount, type DooredMixnet } from './hostile-inbox.ts';
import { until } from './real-mixnet.ts';

const VICTIM = 'mix-1';
const DELAY_MEAN_MS = 500;
/** Without the alarm they would leave after this delay and some ms of work. */
const TARGET_DELAY_MS = 100;
const TARGETS = 6;
/**
 * Held, each waits an exponential time of 5 s on average. Six of them wait for less than 1 s on average
 * once in 600 times; six that are not held never for so long.
 */
const HELD_MS_MIN = 1_000;
const PATIENCE_MS = 90_000;

let net: DooredMixnet;
let keys: AllKeys;

test.before(async () => {
  net = await startBehindDoors({ delayMeanMs: DELAY_MEAN_MS, ticksPerSecond: 2 });
  keys = new AllKeys(net.real);
});

test.after.always(async () => {
  await net?.stop();
});

test.serial('a mix whose loops come back has no alarm', async (t) => {
  await until('loops are due', async () => ((await loops())?.due ?? 0) >= 4, PATIENCE_MS);
  t.like(await loops(), { alarm: false });
  t.false(logged('"loop-alarm"'));
});

test.serial(
  'what its controller lets through alone is held, and the operator is told',
  async (t) => {
    const targets = Array.from({ length: TARGETS }, () => targetPacket());
    const onward = targets.map((text) => {
      const fate = keys.fate(VICTIM, text);
      if (fate.kind === 'end') throw new Error(`a target ends: ${fate.why}`);
      return fate.text;
    });
    const door = net.doors.get(VICTIM);
    if (door === undefined) throw new Error('there is no such door');
    let isLetThrough = false;
    let givenMs = 0;
    door.alter = (messages) => {
      const [first] = messages;
      if (first === undefined || !isLetThrough || givenMs > 0) return [];
      givenMs = Date.now();
      // Under the number of what was released last: so none of those that are held is released with them.
      return targets.map((text) => ({ ...first, id: first.id - 1, text }));
    };
    await until('the log says so', () => logged('"loop-alarm"'), PATIENCE_MS);

    const leftMs: number[] = [];
    net.doors.forEach((each) => {
      each.onTaken = ({ text }) => {
        if (onward.includes(text)) leftMs.push(Date.now());
      };
    });
    isLetThrough = true;
    await until('all of them have left', () => leftMs.length === TARGETS, PATIENCE_MS);
    const meanMs = leftMs.reduce((sum, atMs) => sum + atMs - givenMs, 0) / TARGETS;
    t.log(`held for ${(meanMs / 1000).toFixed(1)} s on average`);
    t.true(meanMs > HELD_MS_MIN, `${meanMs} ms`);
    await until('status says so', async () => (await loops())?.alarm === true, PATIENCE_MS);

    door.alter = (messages) => messages;
    await until('the alarm is over', () => logged('"loop-alarm-over"'), PATIENCE_MS);
    await until('status says so', async () => (await loops())?.alarm === false, PATIENCE_MS);
  },
);

test.serial(
  'then mail crosses again, and the counters say how many packets were held',
  async (t) => {
    const data = fromUtf8('X-PANORAMIX-Mixable: yes\r\nSubject: after\r\n\r\nafter\r\n');
    const mail = { from: 'ada@alpha.example', to: ['after@beta.example'], data, queueId: 'AFTER' };
    await net.real.submit('alpha', mail);
    await until('it arrives', () => net.real.arrived().length === 1, PATIENCE_MS);
    const counts = await stopAndCount(net.real, VICTIM);
    t.true((counts['held'] ?? 0) >= TARGETS, JSON.stringify(counts));
    t.true((counts['loop-alarm'] ?? 0) >= 1);
  },
);

/** Through the victim and one more mix, to an exit, where it ends as cover without an answer. */
function targetPacket(): string {
  const [victim, next, exit] = [VICTIM, 'mix-2', 'beta'].map(
    (name) => keys.node(name).endpoints[0],
  );
  if (!victim || !next || !exit) throw new Error('a node has no endpoint');
  const hops = [
    { publicKey: victim.publicKey, routing: relayRouting(next.address, TARGET_DELAY_MS) },
    { publicKey: next.publicKey, routing: relayRouting(exit.address, TARGET_DELAY_MS) },
    { publicKey: exit.publicKey, routing: deliverRouting() },
  ];
  return toBase64url(keys.sphinx.build(hops, fromUtf8('cover'), new Uint8Array(10)));
}

async function loops() {
  const peer = net.real.mixnet.peers.find(({ name }) => name === VICTIM);
  return (await readStatus(readConfig(peer?.nodeConfig))).loops;
}

function logged(what: string): boolean {
  return readFileSync(net.real.mixnet.logOf(VICTIM), 'utf8').includes(what);
}
