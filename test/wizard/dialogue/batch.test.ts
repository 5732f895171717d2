/**
 * D4.2 §5 to its end, typed into two terminals: coordinator and contributor agree on a batch mixnet after a
 * counter-proposal, open its endpoint, and operate it: a cycle is filled, closed, mixed, published, and the next opens.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { fromUtf8 } from '../../../src/bytes.ts';
import { BatchClient } from '../../../src/client/batch-mixnet.ts';
import { portable } from '../../../src/crypto/portable.ts';
import { privateController, sharedStore } from '../../controller/private-controller.ts';
import { Terminals, whyNoTerminals, type Screen } from '../terminal.ts';

const WIZARD = resolve(import.meta.dirname, '../../../src/cli/bin-wizard.js');
const reason = whyNoTerminals();
if (reason !== null) console.warn(`Tests with terminals are skipped: ${reason}`);
const inTerminals = reason === null ? test.serial : test.serial.skip;
const store = sharedStore(test);

inTerminals(
  'two operators type a batch mixnet into being, one with other values, and run a cycle of it',
  async (t) => {
    const { url } = await privateController(t, store());
    const terminals = await Terminals.start();
    t.teardown(() => terminals.stop());
    const coordinator = await openWizard(t, terminals, 'coordinator');
    await begin(coordinator, url, 'create');
    await coordinator.choose(/Select backend/, 'SPHINXMIX');
    await coordinator.answer(/Set BODY_LEN \(default: '1024'\)/, '');
    await coordinator.choose(/Set GROUP \(default: '713'\)/, '713');
    await coordinator.answer(/Set HEADER_LEN \(default: '192'\)/, '');
    await nameKey(coordinator, 'peer1');
    await coordinator.answer(/Choose mix-net peer name/, 'our_mix-net');
    await coordinator.answer(/number of invitations/, '1');
    const [, invitation = ''] = await coordinator.sees(/^ {2}(\S{43}\|\S{43})$/m);

    const contributor = await openWizard(t, terminals, 'contributor');
    await begin(contributor, url, 'join');
    await nameKey(contributor, 'peer2');
    await contributor.answer(/Give invitation/, invitation);
    await contributor.sees(/Negotiation initialized by peer [0-9a-f]{64} with contribution \d+/);
    await contributor.choose(/Proposed crypto backend: 'SPHINXMIX'/, 'accept');
    await contributor.choose(/Proposed crypto params: \{BODY_LEN: 1024/, 'counter');
    await contributor.answer(/Set BODY_LEN \(proposed: '1024'\)/, '512');
    await contributor.answer(/Set HEADER_LEN \(proposed: '192'\)/, '');
    await coordinator.sees(/BODY_LEN: 512 instead of 1024/);
    await coordinator.choose(/'adopt' them, 'keep' your own/, 'adopt');
    // What he has proposed himself he is not asked about again.
    for (const screen of [coordinator, contributor]) {
      await screen.sees(/\(you/);
      await screen.choose(/Are these the owners/, 'accept');
      await screen.sees(/(?:[0-9a-f]{4} ){7}[0-9a-f]{4}/);
    }
    await coordinator.answer(/Specify endpoint name/, '');
    await coordinator.choose(/Select endpoint type/, 'SPHINXMIX_GATEWAY');
    await coordinator.answer(/Specify minimum size/, '');
    await coordinator.answer(/Specify maximum size/, '');
    await coordinator.answer(/Give description/, '');
    await contributor.sees(/MIN_SIZE: 3/);
    await contributor.choose(/Proposed endpoint/, 'accept');

    const [, mixnetUrl = ''] = await coordinator.sees(/^ {2}(http:\S+\/peers\/[0-9a-f]{64}\/)$/m);
    for (const screen of [coordinator, contributor]) {
      await screen.sees(/Created endpoint gateway_1/);
      await screen.choose(/Start the mix now/, 'yes');
      await screen.sees(/waits for the minimum 3: 0 messages so far/);
    }
    const client = new BatchClient({ mixnetUrl, primitives: portable });
    const mixnet = await client.init();
    t.is(mixnet.sphinxParams.bodyLen, 512);
    const send = async (message: string): Promise<unknown> =>
      await client.send(mixnet, { message: fromUtf8(message) });
    for (const message of ['one', 'two']) await send(message);
    await coordinator.sees(/waits for the minimum 3: 2 messages so far/);
    await send('three');
    for (const screen of [coordinator, contributor]) {
      await screen.sees(
        /Consensus reached: [0-9a-f]{64}\n.*Closed endpoint gateway_1 with 3 messages/,
      );
      await screen.sees(/Processed endpoint gateway_1/);
      await screen.sees(/Opened the next cycle of gateway_1/);
    }
    for (const screen of [contributor, coordinator]) {
      await screen.press('C-c');
      t.is(await screen.ended(), 0);
    }
  },
);

async function begin(screen: Screen, url: string, role: string): Promise<void> {
  await screen.answer(/Set CATALOG_URL/, url);
  await screen.choose(/Choose 'create' or 'join'/, role);
  await screen.choose(/What is the mix-net for/, 'batch');
}

async function nameKey(screen: Screen, name: string): Promise<void> {
  await screen.answer(/folder for keys/, '');
  await screen.choose(/No key available/, 'create');
  await screen.answer(/register as peer/, name);
}

async function openWizard(
  t: ExecutionContext,
  terminals: Terminals,
  name: string,
): Promise<Screen> {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'panoramix.yaml');
  // An operator's own lines: a test does not wait a minute for the next cycle.
  const own = { redis: { max_memory_mb: 64 }, node: { linger_ms: 1_000 } };
  writeFileSync(path, JSON.stringify(own), { mode: 0o600 });
  return await terminals.open(name, [process.execPath, WIZARD], {
    env: { PANORAMIX_CONFIG: path },
  });
}
