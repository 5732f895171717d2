import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { native } from '../../src/crypto/native.ts';
import { silentLog, type Log } from '../../src/log.ts';
import {
  ControllerWatch,
  isControllerTrouble,
  type Found,
} from '../../src/mixer/controller-watch.ts';
import { DirectoryReport, readDirectoryReport } from '../../src/mixer/directory-report.ts';
import { controllersOf, drawSources, type NodesSource } from '../../src/mixer/directory-sources.ts';
import { madeDirectory } from '../mixnet/made-directory.ts';

const CONTROLLER = 'https://mix.example/';
const EPOCH_MS = 3 * 3_600_000;

function watching(t: ExecutionContext) {
  const dataDir = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const warned: object[] = [];
  const log: Log = { ...silentLog, warn: (fields) => void warned.push(fields) };
  const report = new DirectoryReport(dataDir);
  const watch = new ControllerWatch(report, log);
  const after = (found: Found, nowMs: number): string => {
    watch.note(CONTROLLER, found, nowMs, EPOCH_MS);
    return report.findings.controllers[CONTROLLER]?.state ?? '';
  };
  return { dataDir, warned, report, after };
}

test('a controller that is slow is behind, and after an epoch it withholds', (t) => {
  const { after, warned, report } = watching(t);
  t.is(after({ kind: 'older', number: 4 }, 0), 'directory-behind');
  t.is(after({ kind: 'older', number: 4 }, EPOCH_MS), 'directory-behind');
  t.is(warned.length, 0);
  t.is(after({ kind: 'older', number: 4 }, EPOCH_MS + 1), 'directory-withheld');
  t.is(after({ kind: 'older', number: 4 }, 3 * EPOCH_MS), 'directory-withheld');
  t.deepEqual(
    warned.map((fields) => (fields as { reason: string }).reason),
    ['directory-withheld'],
    'it is said once',
  );
  t.is(report.findings.controllers[CONTROLLER]?.since_ms, 0);
  t.is(after({ kind: 'same', number: 5 }, 3 * EPOCH_MS), 'serving');
  t.is(report.findings.controllers[CONTROLLER]?.since_ms, 3 * EPOCH_MS);
});

test('one that does not answer withholds after an epoch, whatever it does in between', (t) => {
  const { after } = watching(t);
  t.is(after({ kind: 'silent', reason: 'controller-unreachable' }, 0), 'controller-unreachable');
  t.is(after({ kind: 'silent', reason: 'tls-expired' }, EPOCH_MS), 'tls-expired');
  t.is(after({ kind: 'older', number: 1 }, EPOCH_MS + 1), 'directory-withheld');
});

for (const reason of ['redis-unavailable', 'disk-full', 'requests-too-many'] as const) {
  test(`one that says ${reason} needs no operator of ours until an epoch is over`, (t) => {
    const { after, report, warned } = watching(t);
    after({ kind: 'same', number: 5 }, 0);
    t.deepEqual(report.unwell(), []);
    t.is(after({ kind: 'silent', reason }, 1), reason);
    t.false(isControllerTrouble(reason));
    t.deepEqual(report.unwell(), [CONTROLLER], 'it is asked again soon');
    t.is(warned.length, 0);
    t.is(after({ kind: 'same', number: 5 }, 2), 'serving');
    t.deepEqual(report.unwell(), []);
    after({ kind: 'silent', reason }, 3);
    t.is(after({ kind: 'silent', reason }, EPOCH_MS + 4), 'directory-withheld');
  });
}

test('one that goes back behind what it has served is rolled back, at once', (t) => {
  const { after, warned } = watching(t);
  t.is(after({ kind: 'same', number: 5 }, 0), 'serving');
  t.is(after({ kind: 'older', number: 4 }, 1), 'snapshot-rolled-back');
  t.is(after({ kind: 'older', number: 5 }, 2), 'directory-behind');
  t.like(warned, [{ reason: 'snapshot-rolled-back', source: CONTROLLER }]);
});

for (const reason of [
  'signature-invalid',
  'directory-expired',
  'domain-lost',
  'answer-malformed',
] as const) {
  test(`one that serves what is refused for ${reason} is named, with since when`, (t) => {
    const { after, report, warned } = watching(t);
    after({ kind: 'same', number: 5 }, 0);
    t.is(after({ kind: 'refused', reason }, 7), reason);
    t.is(after({ kind: 'refused', reason }, 9), reason);
    t.deepEqual(report.findings.controllers[CONTROLLER], { state: reason, since_ms: 7, number: 5 });
    t.true(isControllerTrouble(reason));
    t.is(warned.length, 1);
  });
}

test('what was found is there after a restart, and a damaged report is found out anew', (t) => {
  const { dataDir, after, report } = watching(t);
  after({ kind: 'same', number: 5 }, 0);
  t.true(report.noteTwoFaced('a'.repeat(64), 3, 1));
  t.false(report.noteTwoFaced('a'.repeat(64), 3, 2));
  report.noteTrouble('controller-unreachable', 5);
  report.noteTrouble('answer-malformed', 6);
  t.deepEqual(new DirectoryReport(dataDir).findings, report.findings);
  t.deepEqual(report.findings.trouble, { reason: 'answer-malformed', since_ms: 5 });
  writeFileSync(join(dataDir, 'directory-report.json'), '{');
  t.is(readDirectoryReport(dataDir), null);
});

test('a node asks where the owners meet, its own, and two others that nobody can foresee', async (t) => {
  const urls = ['meeting', 'own', 'one', 'two', 'three', 'insecure'].map(
    (name) => `https://${name}/`,
  );
  const made = madeDirectory([]);
  const nodes = urls.map((controllerUrl) => ({ controllerUrl }));
  const directory = { ...made, nodes } as unknown as typeof made;
  const draw = (held: typeof made | null): NodesSource[] =>
    drawSources(native.random, {
      meeting: sourceOf(urls[0] ?? ''),
      own: sourceOf(urls[1] ?? ''),
      clientFor: sourceOf,
      directory: held,
    });
  t.deepEqual(
    draw(null).map(({ url }) => url),
    urls.slice(0, 2),
  );
  const asked = new Set<string>();
  for (let i = 0; i < 200; i++) {
    const drawn = draw(directory);
    t.is(new Set(drawn.map(({ url }) => url)).size, 4);
    t.deepEqual(
      drawn.slice(0, 2).map(({ url }) => url),
      urls.slice(0, 2),
    );
    for (const { url } of drawn) asked.add(url);
    // Each node leaves its directory with its own controller alone.
    t.deepEqual(
      drawn.map((source) => source.postNodes !== undefined),
      [false, true, false, false],
    );
  }
  t.deepEqual([...asked].toSorted(), urls.toSorted());
  const insecure = draw(directory).find(({ url }) => url.includes('insecure'));
  if (insecure) await t.throwsAsync(insecure.getNodes(''), { message: 'url-insecure' });
});

test('those that did not serve it the last time are asked again each time, two at once', (t) => {
  const urls = Array.from({ length: 20 }, (_, i) => `https://node-${i}/`);
  const made = madeDirectory([]);
  const nodes = urls.map((controllerUrl) => ({ controllerUrl }));
  const directory = { ...made, nodes } as unknown as typeof made;
  const [meeting, own] = [sourceOf('https://meeting/'), sourceOf('https://own/')];
  const draw = (unwell: readonly string[]): string[] =>
    drawSources(native.random, { meeting, own, clientFor: sourceOf, directory, unwell })
      .slice(2)
      .map(({ url }) => url);
  for (let i = 0; i < 50; i++) {
    const one = draw([urls[7] as string, 'https://left-the-mixnet/']);
    t.true(one.includes(urls[7] as string) && one.length <= 3);
    t.is(new Set(one).size, one.length);
    t.is(draw([]).length, 2);
    t.is(draw(urls).length, 4);
  }
});

test('whom a node lists on loopback, in a mixnet that is not, nobody asks for anything', (t) => {
  const made = madeDirectory([]);
  const nodes = [
    { controllerUrl: 'https://one/' },
    { controllerUrl: 'http://127.0.0.1:6379/', leftOut: 'url-loopback' },
    { controllerUrl: '' },
  ];
  const directory = { ...made, nodes } as unknown as typeof made;
  t.deepEqual(controllersOf(directory), ['https://one/']);
  const [meeting, own] = [sourceOf('https://meeting/'), sourceOf('https://own/')];
  const drawn = drawSources(native.random, { meeting, own, clientFor: sourceOf, directory });
  t.deepEqual(
    drawn.map(({ url }) => url),
    ['https://meeting/', 'https://own/', 'https://one/'],
  );
});

function sourceOf(url: string): NodesSource {
  if (url.includes('insecure')) throw new Error('url-insecure');
  return {
    url,
    getNodes: async () => await Promise.resolve(url),
    postNodes: async () => await Promise.resolve(),
  };
}
