/**
 * A program of its own that begins jobs and never ends them: one as a worker, one taken by hand. Tells
 * when it has both, and stays until it is killed.
 */
import { silentLog } from '../../src/log.ts';
import { openStore } from '../../src/redis/embedded.ts';
import { openWorker } from '../../src/redis/queues.ts';
import { openTaker } from '../../src/redis/taker.ts';

const [dataDir = ''] = process.argv.slice(2);
const store = await openStore({ dataDir, log: silentLog, name: 'holder' });
const taker = await openTaker(store, 'outbound-abc');
while ((await taker.take()) === null) await new Promise((resolve) => setTimeout(resolve, 20));
await openWorker(store, 'mixing', async () => {
  process.send?.('holding');
  await new Promise(() => undefined);
});
setInterval(() => undefined, 1_000);
