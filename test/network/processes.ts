/** What the kernel shows of processes: what they listen on, and what everybody on the machine may read of them. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A socket that takes connections from the network. */
export interface Listener {
  readonly pid: number;
  /** As an address: `127.0.0.1`, or in hex of 32 digits for IPv6. */
  readonly host: string;
  readonly port: number;
}

/** State LISTEN in /proc/net/tcp. */
const LISTEN = '0A';
const LOOPBACK_V6 = '0'.repeat(24) + '01000000';

/** All TCP listeners of these processes. */
export function listenersOf(pids: readonly number[]): readonly Listener[] {
  const all = new Map<string, { host: string; port: number }>();
  for (const file of ['tcp', 'tcp6']) {
    for (const line of readFileSync(`/proc/net/${file}`, 'utf8').split('\n').slice(1)) {
      const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
      if (state !== LISTEN) continue;
      const [address = '', port = ''] = local.split(':');
      all.set(inode, { host: hostOf(address), port: Number.parseInt(port, 16) });
    }
  }
  return pids.flatMap((pid) =>
    socketsOf(pid).flatMap((inode) => {
      const found = all.get(inode);
      return found === undefined ? [] : [{ pid, ...found }];
    }),
  );
}

/** Whether nobody but this machine reaches it. */
export function isOnLoopback({ host }: Listener): boolean {
  return host.startsWith('127.') || host === LOOPBACK_V6;
}

/** What `ps` shows to everybody, and the environment, which the same user and root see. */
export function shownOf(pid: number): Buffer {
  const files = ['cmdline', 'comm', 'environ'];
  return Buffer.concat(files.map((file) => readFileSync(`/proc/${pid}/${file}`)));
}

function socketsOf(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? [];
    } catch {
      // Closed meanwhile.
      return [];
    }
  });
}

/** Four bytes in the order of this machine. */
function hostOf(hex: string): string {
  if (hex.length !== 8) return hex;
  return [6, 4, 2, 0].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)).join('.');
}
