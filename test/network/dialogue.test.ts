/**
 * The dialogue of D4.2 §5 as people type it: five hosts, each with its own address, Redis and data folders; three
 * mixes, the first of which coordinates, and two mail providers, one of which runs the DNS server with the
 * domains' records. Then a mail crosses.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readConfig } from '../../src/config.ts';
import { Terminals } from '../wizard/terminal.ts';
import { createAuthority } from './certificates.ts';
import { Operator, shapeOf, transcriptOf } from './dialogue-driver.ts';
import { startDns } from './dns.ts';
import { makePeer, nextMail, startMailServer, submit } from './federation.ts';
import { hostsTest } from './hosts-test.ts';
import { startHosts } from './namespaces.ts';

const NAMES = ['mix-1', 'mix-2', 'mix-3', 'alpha', 'beta'] as const;
const README = join(import.meta.dirname, '../../src/wizard/README.md');
const CROSSING_MS_MAX = 90_000;
const MAIL = [
  'From: Ada <ada@alpha.example>',
  'To: Bob <bob@beta.example>',
  'Subject: typed by hand',
  'Message-ID: <1@alpha.example>',
  'X-PANORAMIX-Mixable: yes',
  '',
  '.a dot',
  '0123456789'.repeat(7_000),
  '',
].join('\r\n');

hostsTest('five operators type a mixnet into being, start it, and a mail crosses', async (t) => {
  const hosts = await startHosts(NAMES, { nameserver: 'alpha' });
  t.teardown(() => hosts.stop());
  const terminals = await Terminals.start();
  t.teardown(() => terminals.stop());
  const authority = await createAuthority(join(hosts.folder, 'authority'));
  const peers = await Promise.all(NAMES.map((name) => makePeer(name, hosts, authority)));
  // No operator is told that his certificate ends soon.
  const untilMs = Date.now() + 20 * 86_400_000;
  for (const { name, host, certificate: files } of peers) {
    await authority.issue(name, { hosts: [host.address], files, untilMs });
  }
  const dns = await startDns(hosts.host('alpha'), hosts.folder, {});
  for (const peer of peers) {
    startMailServer(peer);
    // An operator's own line, which the wizard leaves alone: a test does not wait 20 s for an exit.
    const own = '# ours\ngateway:\n  exit:\n    delay_mean_ms: 50 # for the test\n';
    if (peer.role === 'gateway') writeFileSync(join(peer.folder, 'panoramix.yaml'), own);
  }
  const operators = peers.map((peer) => new Operator(peer, terminals));
  const [coordinator, ...contributors] = operators as [Operator, ...Operator[]];

  await Promise.all(operators.map((operator) => operator.setUpController()));
  const catalogUrl = coordinator.peer.url;
  const peerIds = await Promise.all(
    operators.map((operator) =>
      operator.register(catalogUrl, authority.caFile, operator === coordinator ? 'create' : 'join'),
    ),
  );
  const txt = Object.fromEntries(
    peers.flatMap(({ role, name }, i) =>
      role === 'gateway' ? [[`_panoramix.${name}.example`, peerIds[i] as string]] : [],
    ),
  );
  await dns.change({ txt });

  const invitations = await coordinator.invite(contributors.length);
  t.is(new Set(invitations).size, contributors.length);
  await Promise.all(
    contributors.map(async (operator, i) => {
      await operator.join(invitations[i] as string);
      await operator.acceptTerms();
    }),
  );
  const shown = await Promise.all(operators.map((operator) => operator.acceptOwners()));
  for (const fingerprints of shown) {
    t.deepEqual(fingerprints.slice(-NAMES.length).toSorted(), shown[0]?.slice(-5).toSorted());
  }
  await Promise.all(operators.map((operator) => operator.acceptNodes()));
  const urls = await Promise.all(operators.map((operator) => operator.start()));
  t.is(new Set(urls).size, 1);
  t.true(urls[0]?.startsWith(`${catalogUrl}panoramix/peers/`));
  await Promise.all(operators.map((operator) => operator.routes()));

  const [, , , alpha, beta] = peers as [never, never, never, (typeof peers)[0], (typeof peers)[0]];
  await submit(alpha, 'bob@beta.example', MAIL);
  const arrived = await nextMail(beta, CROSSING_MS_MAX);
  const expected = MAIL.replace('X-PANORAMIX-Mixable: yes\r\n', '');
  t.is(Buffer.from(arrived.data).toString('latin1'), expected);
  const [, , , atAlpha, atBeta] = operators as [never, never, never, Operator, Operator];
  await atAlpha.wizard.sees(/A mail is on its way in \d+ packets/);
  await atBeta.wizard.sees(/Delivered a mail of \d+ bytes/);

  for (const peer of peers) {
    const text = readFileSync(join(peer.folder, 'panoramix.yaml'), 'utf8');
    t.true(invitations.every((invitation) => !text.includes(invitation)));
    if (peer.role === 'gateway') t.regex(text, /^# ours\n[^]*delay_mean_ms: 50 # for the test/);
    t.is(readConfig(join(peer.folder, 'panoramix.yaml')).mixnet?.catalog_url, catalogUrl);
  }
  const transcripts = await Promise.all(
    [coordinator.server, coordinator.wizard, atAlpha.wizard].map(async (screen) =>
      transcriptOf(await screen.text(), hosts.folder),
    ),
  );
  const codes = await Promise.all(operators.map((operator) => operator.leave()));
  t.deepEqual(
    codes.flat(),
    Array.from({ length: 10 }, () => 0),
  );
  holdReadme(transcripts, (written, seen) => t.deepEqual(shapeOf(written), shapeOf(seen)));
});

const TITLES = ['server wizard of mix-1', 'wizard of mix-1', 'wizard of alpha'];

/**
 * What stands in the README is what the terminals have shown.
 * `UPDATE_TRANSCRIPT=1` writes it there.
 */
function holdReadme(
  transcripts: readonly string[],
  compare: (written: string, seen: string) => void,
): void {
  let readme = readFileSync(README, 'utf8');
  for (const [i, title] of TITLES.entries()) {
    const seen = transcripts[i] as string;
    const place = new RegExp(`(<!-- transcript: ${title} -->\n\`\`\`\n)([^]*?)(\n\`\`\`)`);
    const [, , written] = place.exec(readme) ?? [];
    if (written === undefined) throw new Error(`${README} has no place for the ${title}`);
    if (process.env['UPDATE_TRANSCRIPT']) {
      readme = readme.replace(
        place,
        (_whole, head: string, _old, end: string) => head + seen + end,
      );
    } else compare(written, seen);
  }
  if (process.env['UPDATE_TRANSCRIPT']) writeFileSync(README, readme);
}
