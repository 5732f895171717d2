import test from 'ava';
import {
  isUnproved,
  proveDomains,
  whyUnproved,
  type DomainFinding,
  type DomainOptions,
} from '../../src/wizard/domain-proof.ts';
import { startLoopbackDns, startSilentDns } from './loopback-dns.ts';

const OURS = 'a'.repeat(64);
const THEIRS = 'b'.repeat(64);
const STRANGER = 'c'.repeat(64);

async function find(
  servers: readonly string[],
  domain: string,
  options: DomainOptions = {},
): Promise<DomainFinding> {
  const findings = await proveDomains([{ domain, peerId: THEIRS }], OURS, { servers, ...options });
  return findings[0] as DomainFinding;
}

test('a record that names the peer proves, however it is written, wherever it is kept', async (t) => {
  const dns = await startLoopbackDns(t, {
    txt: {
      '_panoramix.plain.example': [THEIRS],
      '_panoramix.upper.example': [` ${THEIRS.toUpperCase()} `],
      '_panoramix.several.example': ['v=spf1 -all', STRANGER, THEIRS],
      '_panoramix.chunks.example': [[THEIRS.slice(0, 40), THEIRS.slice(40)]],
      'elsewhere.example': [THEIRS],
    },
    cname: { '_panoramix.moved.example': 'elsewhere.example' },
  });
  for (const name of ['plain', 'upper', 'several', 'chunks', 'moved']) {
    const finding = await find([dns], `${name}.example`);
    t.is(finding.outcome, 'proved', name);
    t.false(isUnproved(finding));
  }
});

test('another’s record, none, and a name that does not exist are told apart', async (t) => {
  const dns = await startLoopbackDns(t, {
    txt: {
      '_panoramix.taken.example': [STRANGER],
      '_panoramix.prose.example': ['hello\u001b[2J', 'x'.repeat(200)],
      '_panoramix.longer.example': [`${THEIRS}a`],
      '_panoramix.shorter.example': [THEIRS.slice(1)],
      'parent.example': [THEIRS],
    },
    addresses: { '_panoramix.address.example': '192.0.2.1' },
  });
  const taken = await find([dns], 'taken.example');
  t.is(taken.outcome, 'other-peer');
  t.regex(
    whyUnproved(taken),
    /_panoramix\.taken\.example TXT does not name bbbbbbbb… but cccccccc…/,
  );
  for (const name of ['longer', 'shorter']) {
    t.is((await find([dns], `${name}.example`)).outcome, 'other-peer', name);
  }
  const prose = await find([dns], 'prose.example');
  t.is(prose.outcome, 'other-peer');
  t.false(prose.found.join('').includes('\u001b'));
  t.true(prose.found.every((text) => text.length <= 82));
  // NXDOMAIN, a name without TXT, and a record one label too high.
  for (const name of ['nowhere', 'address', 'parent']) {
    const finding = await find([dns], `${name}.example`);
    t.is(finding.outcome, 'no-record', name);
    t.true(isUnproved(finding));
  }
});

test('a server that fails and one that is silent are told apart, and neither proves', async (t) => {
  const dns = await startLoopbackDns(t, {});
  const failed = await find([dns], 'refused.test');
  t.is(failed.outcome, 'server-failed');
  const began = Date.now();
  const silent = await find([await startSilentDns(t)], 'a.example', { timeoutMs: 300 });
  t.is(silent.outcome, 'unreachable');
  t.true(Date.now() - began < 5_000);
  for (const finding of [failed, silent]) t.true(isUnproved(finding));
});

test('a second server is asked where the first one is silent', async (t) => {
  const dns = await startLoopbackDns(t, { txt: { '_panoramix.a.example': [THEIRS] } });
  const servers = [await startSilentDns(t), dns];
  t.is((await find(servers, 'a.example', { timeoutMs: 300 })).outcome, 'proved');
});

test('what the operator confirms is shown as found, and needs no proof; our own is looked up too', async (t) => {
  const dns = await startLoopbackDns(t, { txt: { '_panoramix.mine.example': [OURS] } });
  const claims = [
    { domain: 'theirs.example', peerId: THEIRS },
    { domain: 'mine.example', peerId: OURS },
    { domain: 'mine-too.example', peerId: OURS },
  ];
  const options = { servers: [dns], confirmed: ['Theirs.example'] };
  const [theirs, mine, mineToo] = (await proveDomains(claims, OURS, options)) as [
    DomainFinding,
    DomainFinding,
    DomainFinding,
  ];
  t.like(theirs, { outcome: 'no-record', confirmed: true, own: false });
  t.like(mine, { outcome: 'proved', own: true });
  t.like(mineToo, { outcome: 'no-record', own: true });
  for (const finding of [theirs, mine, mineToo]) t.false(isUnproved(finding));
});

test('a thousand domains are looked up, in their order', async (t) => {
  const names = Array.from({ length: 1000 }, (_, index) => `d${index}.example`);
  const dns = await startLoopbackDns(t, {
    txt: Object.fromEntries(names.slice(0, 500).map((name) => [`_panoramix.${name}`, [THEIRS]])),
  });
  const claims = names.map((domain) => ({ domain, peerId: THEIRS }));
  const findings = await proveDomains(claims, OURS, { servers: [dns] });
  t.deepEqual(
    findings.map((finding) => finding.domain),
    names,
  );
  t.is(findings.filter((finding) => finding.outcome === 'proved').length, 500);
  t.is(findings.filter((finding) => finding.outcome === 'no-record').length, 500);
});
