import test from 'ava';
import { silentLog } from '../../src/log.ts';
import { JobLog } from '../../src/redis/job-log.ts';

test('a row of failed jobs is one line for each reason and minute, with their number and without ids', (t) => {
  const lines: object[] = [];
  let nowMs = 1_000_000;
  const log = { ...silentLog, warn: (fields: object) => lines.push(fields) };
  const jobs = new JobLog(log, 'mixing', () => nowMs);
  for (let i = 0; i < 100; i++) jobs.failed('controller-unreachable', 'no answer');
  jobs.failed('endpoint-full', 'full');
  nowMs += 60_000;
  jobs.failed('controller-unreachable', 'no answer');
  const queue = 'mixing';
  t.deepEqual(lines, [
    { queue, reason: 'controller-unreachable', error: 'no answer', others: 0 },
    { queue, reason: 'endpoint-full', error: 'full', others: 0 },
    { queue, reason: 'controller-unreachable', error: 'no answer', others: 99 },
  ]);
});
