/**
 * Packets that a node has had are given to it again, in every way that a peer or its own controller
 * has, before and after it and its Redis were killed: nothing leaves again, and the reason is `replayed`.
 */
import test, { type ExecutionContext } from 'ava';
import { fromUtf8, toHex } from '../../src/bytes.ts';
import { ControllerClient } from '../../src/client/controller.ts';
import { native } from '../../src/crypto/native.ts';
import { readOrCreateIdentity } from '../../src/key-files.ts';
import { AllKeys } from './all-keys.ts';
import {
  programOf,
  startBehindDoors,
  stopAndCount,
  type DooredMixnet,
  type Listed,
} from './hostile-inbox.ts';
import { Ledger, type Taken } from './ledger.ts';
import { until } from './real-mixnet.ts';

/** Each is given again in three ways. */
const OLD = 12;
const WAYS = 3;
const PATIENCE_MS = 60_000;

let net: DooredMixnet;
let keys: AllKeys;
let ledger: Ledger;
let mails = 0;
/** What a controller has handed out, by text. */
const listed = new Map<string, Listed>();

test.before(async () => {
  net = await startBehindDoors({ ticksPerSecond: 4 });
  keys = new AllKeys(net.real);
  ledger = new Ledger(keys, net.doors, ['mix-1', 'beta']);
  for (const door of net.doors.values()) door.alter = remember;
  for (let i = 0; i < 3; i++) await crosses();
});

test.after.always(async () => {
  await net?.stop();
});

for (const [victim, what] of [
  ['mix-1', 'relayed'],
  ['beta', 'delivered and answered'],
] as const) {
  let old: readonly Taken[] = [];

  test.serial(
    `what ${victim} has ${what} is dropped as replayed when it comes again`,
    async (t) => {
      old = await settled(victim);
      await comesAgain(t, old, async () => undefined);
      const counts = await stopAndCount(net.real, victim);
      t.is(counts['replayed'], WAYS * OLD);
      t.deepEqual(otherDrops(counts), []);
    },
  );

  test.serial(`and after a kill -9 of ${victim}, too`, async (t) => {
    await comesAgain(t, old, async () => {
      await programOf(net.real, victim).kill();
      programOf(net.real, victim).start();
      await crosses();
    });
    const counts = await stopAndCount(net.real, victim);
    // Of what it had collected when it died, its own controller hands out again what was not released.
    t.true((counts['replayed'] ?? 0) >= WAYS * OLD, JSON.stringify(counts));
    t.deepEqual(otherDrops(counts), []);
  });

  test.serial(`and after a kill -9 of the Redis of ${victim}, too`, async (t) => {
    await crosses();
    await comesAgain(t, old, async () => {
      process.kill(await net.real.redisPid(victim), 'SIGKILL');
      await crosses();
    });
    const counts = await stopAndCount(net.real, victim);
    t.true((counts['replayed'] ?? 0) >= WAYS * OLD, JSON.stringify(counts));
    t.deepEqual(otherDrops(counts), []);
  });
}

/** Some packets that a node was done with, mail among them at an exit, none of them posted by mix-3. */
async function settled(victim: string): Promise<readonly Taken[]> {
  const chosen = (): readonly Taken[] => {
    const done = ledger.taken.filter(
      ({ node, from, owed, text }) =>
        node === victim &&
        from !== 'mix-3' &&
        owed !== null &&
        listed.has(text) &&
        ledger.missing([owed]).length === 0,
    );
    const mail = done.filter(({ owed }) => owed?.why === 'mail');
    return [...mail, ...done.filter(({ owed }) => owed?.why !== 'mail')].slice(0, OLD);
  };
  await until(`${victim} has had enough`, () => chosen().length === OLD, PATIENCE_MS);
  return chosen();
}

async function comesAgain(
  t: ExecutionContext,
  old: readonly Taken[],
  strike: () => Promise<void>,
): Promise<void> {
  const attempts = (): number[] => old.map(({ owed }) => (owed ? ledger.attempts(owed) : 0));
  const before = attempts();
  const ownBefore = ledger.own('mix-1').length;
  await strike();
  await postedByAnother(old);
  await handedOutAgain(old, (message) => message.id);
  await handedOutAgain(old, (_, newest) => newest.id);
  // What this mail passes has been through what came before it.
  await crosses();
  t.deepEqual(attempts(), before);
  t.deepEqual(ledger.storedTwice(old[0]?.node ?? ''), []);
  for (const packet of ledger.own('mix-1').slice(ownBefore)) {
    t.is(ledger.endOf(packet).end, 'reply at mix-1');
  }
}

/** As a third node would post what it has recorded. */
async function postedByAnother(old: readonly Taken[]): Promise<void> {
  const peer = net.real.mixnet.peers.find(({ name }) => name === 'mix-3');
  const identity = readOrCreateIdentity(peer?.nodeDataDir ?? '', native);
  for (const { node, text } of old) {
    const { controllerUrl, peerId, endpoints } = keys.node(node);
    const client = new ControllerClient({ url: controllerUrl, identity, primitives: native });
    await client.postMessage({
      endpointId: endpoints[0]?.endpointId as string,
      recipient: peerId,
      text,
      serial: toHex(native.random(16)),
    });
  }
}

/**
 * In one list, instead of the newest message, which comes with the next list.
 * @param idOf the number that each gets: its own, or that of the message whose place it takes
 */
async function handedOutAgain(
  old: readonly Taken[],
  idOf: (message: Listed, newest: Listed) => number,
): Promise<void> {
  const door = net.doors.get(old[0]?.node ?? '');
  if (door === undefined) throw new Error('there is no such door');
  let late: Listed | null = null;
  let isDone = false;
  door.alter = (messages) => {
    remember(messages);
    const newest = messages.at(-1);
    if (newest === undefined || isDone) return messages;
    if (late === null) {
      late = newest;
      const again = old.map(({ text }) => listed.get(text) as Listed);
      const numbered = again.map((message) => ({ ...message, id: idOf(message, newest) }));
      return [...messages.slice(0, -1), ...numbered];
    }
    isDone = true;
    return [...messages.filter(({ id }) => id !== late?.id), late];
  };
  await until('the controller has handed them out', () => isDone, PATIENCE_MS);
  door.alter = remember;
}

function remember(messages: readonly Listed[]): readonly Listed[] {
  for (const message of messages) {
    if (!listed.has(message.text)) listed.set(message.text, message);
  }
  return messages;
}

/** Drops for any reason but `replayed`. */
function otherDrops(counts: Readonly<Record<string, number>>): readonly string[] {
  const drops = ['packet-length', 'point-invalid', 'mac-mismatch', 'body-mac-mismatch'];
  return [
    ...drops,
    'reply-unknown',
    'reply-malformed',
    'unknown-next-hop',
    'delay-too-long',
  ].filter((reason) => counts[reason] !== undefined);
}

async function crosses(): Promise<void> {
  const user = `again${++mails}`;
  const data = fromUtf8(`X-PANORAMIX-Mixable: yes\r\nSubject: ${user}\r\n\r\n${user}\r\n`);
  const to = [`${user}@beta.example`];
  await net.real.submit('alpha', { from: 'ada@alpha.example', to, data, queueId: user });
  let came = 0;
  await until(
    `the mail ${user} arrives`,
    () => {
      for (const { recipients } of net.real.arrived()) {
        if (recipients.includes(to[0] as string)) came++;
        else throw new Error(`a mail came again, for ${recipients.join(' ')}`);
      }
      return came > 0;
    },
    PATIENCE_MS,
  );
  if (came > 1) throw new Error(`the mail ${user} came ${came} times`);
}
