/**
 * Federation over HTTPS: five hosts, each provider's own controller over TLS. Mail crosses; what is wrong with a
 * certificate is named, mail waits or goes by other routes, and flows again without a restart.
 */
import type { ExecutionContext } from 'ava';
import { hostsTest } from './hosts-test.ts';
import {
  type FederatedPeer,
  type Federation,
  heldDirectory,
  startFederation,
  startFederationHosts,
} from './federation.ts';

const HOUR_MS = 3_600_000;
const CROSSING_MS_MAX = 60_000;

hostsTest(
  'mail crosses hosts of five operators over TLS alone, whatever becomes of certificates',
  async (t) => {
    const hosts = await startFederationHosts();
    t.teardown(() => hosts.stop());
    const federation = await startFederation(hosts);
    const [alpha, beta] = [federation.peer('alpha'), federation.peer('beta')];

    await crosses(t, federation, alpha, beta, 'the first');
    await onlyTls(t, federation);

    // The exit's and a mix's certificates run out. Nothing is lost, and nobody is started again.
    const expired = [federation.peer('mix-2'), beta];
    const past = { fromMs: Date.now() - 2 * HOUR_MS, untilMs: Date.now() - HOUR_MS };
    await Promise.all(expired.map((peer) => restartWith(federation, peer, past)));
    for (const { controller } of expired) await controller?.says(/has expired: nobody posts here/);
    const waiting = mail('that waits');
    await federation.submit(alpha, 'bob@beta.example', waiting);
    await beta.node?.says(/tls-expired/);
    await federation.peer('mix-1').node?.says(/tls-expired/, CROSSING_MS_MAX);
    t.deepEqual(beta.arrivals.take(), []);
    await Promise.all(expired.map((peer) => renew(federation, peer)));
    for (const peer of expired) await peer.controller?.says(/Takes the new certificate/);
    same(t, await federation.nextMail(beta, CROSSING_MS_MAX), waiting);

    // A mix serves somebody else's certificate: what goes round it arrives at once, the rest when it is put right.
    const other = federation.peer('mix-3');
    await restartWith(federation, other, { hosts: ['10.77.0.200', 'mix-3.example'] });
    const mails = Array.from({ length: 10 }, (_, i) => mail(`round the mix, ${i}`, 1));
    for (const each of mails) await federation.submit(beta, 'bob@alpha.example', each);
    const arrived = [await federation.nextMail(alpha, CROSSING_MS_MAX)];
    await federation.peer('mix-1').node?.says(/tls-name-mismatch/, CROSSING_MS_MAX);
    await renew(federation, other);
    while (arrived.length < mails.length) {
      arrived.push(await federation.nextMail(alpha, CROSSING_MS_MAX));
    }
    t.deepEqual(
      arrived.map(({ data }) => latin1(data)).toSorted(),
      mails.map(delivered).toSorted(),
    );
    for (const peer of federation.peers) t.true(peer.node?.running, `${peer.name} runs on`);
  },
);

/** A mail arrives byte for byte. */
async function crosses(
  t: ExecutionContext,
  federation: Federation,
  from: FederatedPeer,
  to: FederatedPeer,
  what: string,
): Promise<void> {
  const message = mail(what);
  await federation.submit(from, `bob@${to.name}.example`, message);
  same(t, await federation.nextMail(to, CROSSING_MS_MAX), message);
}

/** A mail of so many kB. */
function mail(what: string, kilobytes = 70): string {
  const head = `From: Ada <ada@alpha.example>\r\nSubject: ${what}\r\nMessage-ID: <${Math.random()}@alpha.example>`;
  return `${head}\r\nX-PANORAMIX-Mixable: yes\r\n\r\n.a dot\r\n${'0123456789'.repeat(100 * kilobytes)}\r\n`;
}

/** As it arrives: without the header that opted in. */
function delivered(message: string): string {
  return message.replace('X-PANORAMIX-Mixable: yes\r\n', '');
}

function same(t: ExecutionContext, arrival: { data: Uint8Array }, message: string): void {
  t.is(latin1(arrival.data), delivered(message));
}

function latin1(data: Uint8Array): string {
  return Buffer.from(data).toString('latin1');
}

/** What is to be seen from outside, and what everybody signed. */
async function onlyTls(t: ExecutionContext, { peers, mixnetUrl }: Federation): Promise<void> {
  t.true(mixnetUrl.startsWith('https://10.77.0.1:8443/'));
  for (const peer of peers) {
    const held = heldDirectory(peer);
    for (const { url } of peers) t.true(held.includes(url), `${peer.name} knows ${url}`);
    t.false(held.includes('http://'));
  }
  const [asker, asked] = [peers[0] as FederatedPeer, peers[1] as FederatedPeer];
  const plain = await asker.host.run('node', ['-e', ASK, asked.url.replace('https', 'http')]);
  t.is(plain.stdout, 'no answer\n');
  const unknown = await asker.host.run('node', ['-e', ASK, asked.url]);
  t.is(unknown.stdout, 'no answer\n', 'without the authority nobody believes it');
}

const ASK = `fetch(process.argv[1] + 'panoramix/health').then(
  (answer) => console.log(answer.status), () => console.log('no answer'));`;

interface Changes {
  readonly fromMs?: number;
  readonly untilMs?: number;
  readonly hosts?: readonly string[];
}

/** Gives a peer's controller a new certificate, for its own address unless told. */
async function renew(
  { authority }: Federation,
  { name, host, certificate: files }: FederatedPeer,
  changes: Changes = {},
): Promise<void> {
  await authority.issue(`${name}-next`, { hosts: [host.address], files, ...changes });
}

/** The same while the controller is away, and nobody has a connection to it any more. */
async function restartWith(
  federation: Federation,
  peer: FederatedPeer,
  changes: Changes,
): Promise<void> {
  await peer.controller?.stop();
  await renew(federation, peer, changes);
  await federation.startController(peer);
}
