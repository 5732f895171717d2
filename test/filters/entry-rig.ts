/** The filter as it stands in a gateway, with the stores in memory and a raw server for 10036. */
import { randomBytes } from 'node:crypto';
import { native } from '../../src/crypto/native.ts';
import type { Log } from '../../src/log.ts';
import type { DirectoryView, MailPolicy } from '../../src/mail/decide.ts';
import type { MixedMail } from '../../src/mail/envelope.ts';
import { createEntry, type EntryOptions } from '../../filters/entry.ts';
import { listen, type ListenOptions, type Listening } from '../../filters/listen.ts';
import { Submitter } from '../../filters/submit.ts';
import { RawServer, type RawServerOptions } from './raw-server.ts';

export interface EntryRigOptions {
  readonly policy?: Partial<MailPolicy>;
  readonly view?: () => DirectoryView;
  readonly entry?: Partial<EntryOptions>;
  readonly listen?: Partial<ListenOptions>;
  readonly next?: RawServerOptions;
}

export interface EntryRig extends AsyncDisposable {
  readonly listening: Listening;
  readonly next: RawServer;
  readonly mixed: MixedMail[];
  readonly passed: Set<string>;
  /** Fields of every line logged. */
  readonly logged: (Record<string, unknown> & { text: string })[];
  readonly submitter: Submitter;
}

/** `in.example` is served by exit `aa…`, `other.example` by `bb…`; `waiting.example` has no way to it. */
export const EXIT_A = 'aa'.repeat(32);
export const EXIT_B = 'bb'.repeat(32);
const SERVED = new Map<string, string | null>([
  ['in.example', EXIT_A],
  ['other.example', EXIT_B],
  ['xn--bcher-kva.example', EXIT_B],
  ['waiting.example', null],
]);

export function viewOf(state: DirectoryView['state'] = 'valid'): DirectoryView {
  return {
    state,
    serves: (domain) => SERVED.has(domain),
    exitOf: (domain) => SERVED.get(domain) ?? null,
    speaksFor: () => true,
  };
}

export async function startEntryRig(options: EntryRigOptions = {}): Promise<EntryRig> {
  const next = await RawServer.start(options.next);
  const submitter = new Submitter({ server: next.address, hostname: 'filter.example' });
  const mixed: MixedMail[] = [];
  const passed = new Set<string>();
  const logged: (Record<string, unknown> & { text: string })[] = [];
  const record = (fields: object, text: string): void => void logged.push({ ...fields, text });
  const log: Log = { debug: record, info: record, warn: record, error: record };
  const receive = createEntry({
    accept: (mail) => {
      const known = mixed.some(({ messageId }) => messageId === mail.messageId);
      if (!known) mixed.push(mail);
      return Promise.resolve(known ? 'repeat' : 'stored');
    },
    view: options.view ?? (() => viewOf()),
    pressure: () => 'open',
    policy: { partial: 'split', ...options.policy },
    limiter: null,
    submitter,
    passed: {
      has: (id) => Promise.resolve(passed.has(id)),
      add: (id) => Promise.resolve(void passed.add(id)),
    },
    primitives: native,
    idKey: randomBytes(32),
    log,
    ...options.entry,
  });
  const listening = await listen({
    lmtp: { host: '127.0.0.1', port: 0 },
    smtp: { host: '127.0.0.1', port: 0 },
    hostname: 'filter.example',
    messageBytesMax: 1_000_000,
    recipientsMax: 10,
    receive,
    log,
    ...options.listen,
  });
  return {
    listening,
    next,
    mixed,
    passed,
    logged,
    submitter,
    async [Symbol.asyncDispose]() {
      await listening.stop();
      await submitter.close();
      await next.stop();
    },
  };
}
