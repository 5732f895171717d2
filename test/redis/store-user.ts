/**
 * A program of its own that opens the store of a data directory, tells the server's process id, and
 * stays until it is killed.
 */
import { silentLog } from '../../src/log.ts';
import { openStore } from '../../src/redis/embedded.ts';

const [dataDir = ''] = process.argv.slice(2);
const store = await openStore({ dataDir, log: silentLog, name: 'user' });
await store.redis.set('written', 'before the kill');
const pid = /process_id:(\d+)/.exec(await store.redis.info('server'))?.[1];
process.send?.(Number(pid));
setInterval(() => undefined, 1_000);
