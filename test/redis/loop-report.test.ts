import test from 'ava';

import { silentLog } from '../../src/log.ts';
import { connectStore } from '../../src/redis/embedded.ts';
import { readLoopReport, writeLoopReport } from '../../src/redis/loop-report.ts';
import type { StoredLoops } from '../../src/redis/loop-report.ts';
import { temporaryDataDir, temporaryStore } from './private-redis.ts';

test('another process reads the last report on loops, with times to tenths of a second', async (t) => {
  const dataDir = await temporaryDataDir(t);
  const store = await temporaryStore(t, { dataDir });
  const visitor = await connectStore({ dataDir, log: silentLog });
  t.teardown(async () => await visitor.close());
  t.is(await readLoopReport(visitor), null);

  const first: StoredLoops = {
    verdict: { isAlarmed: true, returned: 3, due: 20 },
    report: {
      nodes: {
        a: { due: 20, returned: 3, roundTripMs: 12_345 },
        b: { due: 4, returned: 0, roundTripMs: null },
      },
      links: { 'me>a': { due: 20, returned: 3, roundTripMs: 49.9 } },
    },
  };
  await writeLoopReport(store, first);
  t.deepEqual(await readLoopReport(visitor), {
    ...first,
    report: {
      nodes: { ...first.report.nodes, a: { due: 20, returned: 3, roundTripMs: 12_300 } },
      links: { 'me>a': { due: 20, returned: 3, roundTripMs: 0 } },
    },
  });
  const next: StoredLoops = {
    verdict: { isAlarmed: false, returned: 20, due: 20 },
    report: { nodes: {}, links: {} },
  };
  await writeLoopReport(store, next);
  t.deepEqual(await readLoopReport(visitor), next);
});

test('a report disappears with its node, and one of another version counts as none', async (t) => {
  const store = await temporaryStore(t);
  await writeLoopReport(store, {
    verdict: { isAlarmed: false, returned: 0, due: 0 },
    report: { nodes: {}, links: {} },
  });
  const seconds = await store.redis.ttl('{panoramix}:loops');
  t.true(seconds > 0 && seconds <= 60);
  await store.redis.set('{panoramix}:loops', JSON.stringify({ verdict: 'fine' }));
  t.is(await readLoopReport(store), null);
});
