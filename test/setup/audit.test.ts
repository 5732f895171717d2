import test from 'ava';
import { verdictOf } from '../../docker/audit.ts';

const advisory = (id: string) => ({
  source: 1,
  name: 'parser',
  title: 'Hangs on input',
  url: `https://github.com/advisories/${id}`,
  severity: 'high',
  range: '<2',
});
const answer = (via: readonly unknown[]) =>
  JSON.stringify({
    auditReportVersion: 2,
    vulnerabilities: {
      parser: { name: 'parser', severity: 'high', via },
      server: { name: 'server', severity: 'high', via: ['parser'] },
    },
    metadata: {},
  });

test('a known hole is named once, unless it is explained', (t) => {
  const one = answer([advisory('GHSA-aaaa')]);
  const hole = 'parser: Hangs on input (high) https://github.com/advisories/GHSA-aaaa';
  t.deepEqual(verdictOf(one), { kind: 'holes', holes: [hole] });
  const explained = { 'GHSA-aaaa': 'we never parse' };
  t.deepEqual(verdictOf(one, explained), {
    kind: 'clean',
    explained: ['GHSA-aaaa: we never parse'],
  });
  const two = answer([advisory('GHSA-aaaa'), advisory('GHSA-bbbb')]);
  t.like(verdictOf(two, explained), { kind: 'holes', holes: { length: 1 } });
});

test('no findings are clean; a registry without an answer is neither clean nor a hole', (t) => {
  const none = JSON.stringify({ auditReportVersion: 2, vulnerabilities: {}, metadata: {} });
  t.deepEqual(verdictOf(none), { kind: 'clean', explained: [] });
  for (const text of ['', '{"statusCode":405,"message":"405 Method Not Allowed"}', '<html>']) {
    t.deepEqual(verdictOf(text), { kind: 'no-answer' });
  }
});
