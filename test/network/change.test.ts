/**
 * A mixnet that changes while mail flows: a domain more, another weight and traffic, a mix of a new owner, and an
 * owner less. Nothing is lost, and the mix-net URL stays.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import test from 'ava';
import { readConfig } from '../../src/config.ts';
import { native } from '../../src/crypto/native.ts';
import { readNodes } from '../../src/mixnet/verify-nodes.ts';
import type { Directory } from '../../src/mixnet/directory.ts';
import { readStatus } from '../../src/cli/status.ts';
import {
  changeTogether,
  confirmDomain,
  newMix,
  runWizard,
  stateOf,
  type NewMix,
} from './changing.ts';
import { countsOf } from './node-counts.ts';
import { startRealMixnet, until } from './real-mixnet.ts';
import { SteadyMail } from './steady-mail.ts';

const LIFETIME_MS = 60_000;
const ROUTED_MS_MAX = 60_000;
const MAILS_PER_SECOND = 1;

test('mail flows while domains, traffic, nodes and owners of the mixnet change', async (t) => {
  t.timeout(300_000);
  const startedMs = performance.now();
  const real = await startRealMixnet({
    mixes: 4,
    ticksPerSecond: 4,
    snapshotLifetimeMs: LIFETIME_MS,
    keyLifetimeMs: LIFETIME_MS,
  });
  let added: NewMix | null = null;
  t.teardown(async () => {
    await added?.node.stop();
    await added?.controller.stop();
    await real.stop();
  });
  const say = (what: string): void =>
    t.log(`${((performance.now() - startedMs) / 1000).toFixed(0)} s: ${what}`);
  const { mixnet_url: url, mixnet_id: mixnetId } = stateOf(real, 'alpha') as {
    mixnet_url: string;
    mixnet_id: string;
  };
  const look = async (): Promise<Directory> => {
    const answer = await fetch(`${url}nodes.json`, { signal: AbortSignal.timeout(5_000) });
    const read = readNodes(await answer.json(), mixnetId, native);
    if (!read.ok) throw new Error(read.reason);
    return read.directory;
  };
  const routed = async (what: string, holds: (directory: Directory) => boolean): Promise<void> => {
    await until(what, async () => holds(await look()), ROUTED_MS_MAX);
    say(what);
  };
  const before = await look();
  const mail = new SteadyMail(real, MAILS_PER_SECOND);
  t.teardown(() => mail.abandon());
  mail.start();
  say('mail flows');

  confirmDomain(real, 'more.example');
  await changeTogether(
    real,
    'alpha',
    ['--add-domain', 'more.example', '--weight', '3', '--set', 'delay_mean_ms=80'],
    ['beta', 'mix-1', 'mix-2'],
  );
  const alpha = stateOf(real, 'alpha').peer_id;
  await routed('alpha serves one domain more, by a new weight and traffic', (directory) => {
    const node = directory.nodes.find(({ peerId }) => peerId === alpha);
    return (
      node?.weight === 3 &&
      node.domains.join() === 'alpha.example,more.example' &&
      directory.traffic.delayMeanMs === 80
    );
  });

  added = await newMix(real, 'mix-5');
  const guest = added;
  let joining: Promise<unknown> | null = null;
  await changeTogether(real, 'mix-1', ['--invite', '1'], ['beta', 'mix-2', 'mix-3'], (event) => {
    const { invitations } = event as { invitations?: string[] };
    if (event['event'] !== 'change-invitations' || joining !== null) return;
    const secrets = { PANORAMIX_INVITATION: String(invitations?.[0]) };
    joining = runWizard(real, 'mix-5', [], undefined, secrets);
  });
  await (joining as Promise<unknown> | null);
  guest.node.start();
  await routed('a new owner has a mix with a key', (directory) => {
    const known = before.nodes.map(({ peerId }) => peerId);
    const node = directory.nodes.find(({ peerId }) => !known.includes(peerId));
    return directory.owners.length === 7 && (node?.endpoints.length ?? 0) > 0;
  });

  const gone = stateOf(real, 'mix-4').peer_id;
  await changeTogether(
    real,
    'mix-2',
    ['--remove-owner', gone.slice(0, 12)],
    ['alpha', 'beta', 'mix-3'],
  );
  await routed('an owner and his mix are gone', (directory) => {
    return directory.owners.length === 6 && directory.nodes.every(({ peerId }) => peerId !== gone);
  });
  await sleep(5_000);

  await real.submit('beta', {
    from: 'ada@beta.example',
    to: ['bob@more.example'],
    data: Buffer.from('X-PANORAMIX-Mixable: yes\r\nSubject: more\r\n\r\nhello\r\n'),
    queueId: 'MORE',
  });
  await mail.stop(60_000);
  const figures = mail.figures();
  say(`${figures.submitted} mails, median ${Math.round(figures.medianMs)} ms`);
  t.deepEqual([figures.refused, figures.missing], [[], []]);
  t.is(figures.exact, figures.submitted);
  t.is(figures.twice, 0);
  t.true(figures.submitted > 20);

  const after = await look();
  t.is(after.mixnetId, before.mixnetId);
  t.is(stateOf(real, 'alpha').mixnet_url, url, 'the mix-net URL stays');
  t.deepEqual(after.rule, { m: 4, n: 6 });
  for (const name of ['alpha', 'beta', 'mix-1', 'mix-2', 'mix-3']) {
    const peer = real.mixnet.peers.find((each) => each.name === name);
    const status = await readStatus(readConfig(peer?.nodeConfig));
    t.is(status.directory?.state, 'valid', name);
  }
  await guest.node.stop();
  const relayed = countsOf(real, 'mix-5');
  t.true((relayed['forward'] ?? 0) > 0, `the new mix relays: ${JSON.stringify(relayed)}`);
});
