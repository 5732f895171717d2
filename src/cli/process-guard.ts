/**
 * What a process that holds keys does so that nobody gets its memory: no core file when it dies, and no debugger.
 * Against root, or whoever runs programs as the same user, it does nothing: they read the key files themselves.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Log } from '../log.ts';

/**
 * Bytes. Below a page no file is written, and with 1 the kernel also starts no program to which
 * /proc/sys/kernel/core_pattern pipes a dump; with 0 it does, and that program decides (fs/coredump.c).
 */
const CORE_BYTES = 1;

/** Called by every verb before it reads a key. What cannot be had is said, where there is a log. */
export function guardProcess(log?: Log): void {
  // Node would open a debugger on 127.0.0.1:9229, to all users of this machine; an operator may send it
  // by mistake, for many a daemon opens its log anew at this signal.
  process.on('SIGUSR1', () => log?.info({ signal: 'SIGUSR1' }, 'This signal does nothing here'));
  if (!forbidCore()) {
    const fields = { event: 'core-possible' };
    log?.warn(fields, 'A crash may write the memory, keys included, to a core file: see LimitCORE');
  }
}

/** Of this process and all that it starts from now on; false where it could not. */
function forbidCore(): boolean {
  if (coreBytesMax() <= CORE_BYTES) return true;
  // Node has no call for it; prlimit is of util-linux, as is flock, which the store needs.
  const limit = `--core=${CORE_BYTES}:${CORE_BYTES}`;
  spawnSync('prlimit', ['--pid', String(process.pid), limit], { stdio: 'ignore' });
  return coreBytesMax() <= CORE_BYTES;
}

/** The hard limit; infinite where it is unlimited or not to be found. */
function coreBytesMax(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    const hard = /^Max core file size +\S+ +(\d+) /m.exec(limits)?.[1];
    return hard === undefined ? Infinity : Number(hard);
  } catch {
    return Infinity;
  }
}
