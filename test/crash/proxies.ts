/**
 * The proxy of one link, whichever protocol is spoken there. Each connection to it has one of its own to the server,
 * and where that is away it is broken off, which is as near to a refusal as who listens can come.
 */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { Crossing } from './crossing.ts';
import type { Dialogue } from './dialogue.ts';
import { HttpDialogue } from './http-dialogue.ts';
import { RedisDialogue } from './redis-dialogue.ts';
import { SmtpDialogue } from './smtp-dialogue.ts';
import type { Link, Proxy } from './step.ts';
import type { Watcher } from './watcher.ts';

export { Watcher } from './watcher.ts';

/** Listens when it settles. */
export async function openProxy(link: Link, watch: Watcher): Promise<Proxy> {
  const crossings = new Set<Crossing>();
  const server = createServer((client: Socket) => {
    const crossing = new Crossing(link, client, dialogueOf(link), watch);
    crossings.add(crossing);
    client.once('close', () => crossings.delete(crossing));
  });
  server.listen(link.listenPort, '127.0.0.1');
  await once(server, 'listening');
  return {
    link,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const crossing of crossings) crossing.breakOff();
      await closed;
    },
  };
}

function dialogueOf({ protocol }: Link): Dialogue {
  if (protocol === 'redis') return new RedisDialogue();
  return protocol === 'http' ? new HttpDialogue() : new SmtpDialogue();
}
