/**
 * A gateway's filters, put together with what they act on: the directory's view for decisions, the
 * mixer's `accept` for what is mixed, Postfix's 10036 and 10037 for what passes and what arrives.
 */
import { join } from 'node:path';
import { createEntry } from '../../filters/entry.ts';
import { createExit } from '../../filters/exit.ts';
import { ExitPolicy } from '../../filters/exit-policy.ts';
import { listen, type Listening } from '../../filters/listen.ts';
import { OptOutList } from '../../filters/opt-out.ts';
import { createReturns, type ReturnsOptions } from '../../filters/returns.ts';
import { Submitter } from '../../filters/submit.ts';
import type { Config } from '../config.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { readOrCreateSecret } from '../key-files.ts';
import type { Log } from '../log.ts';
import type { DirectoryView } from '../mail/decide.ts';
import { SendingLimiter, type SendingLimits } from '../mail/limits.ts';
import type { ArrivedMail, DeliveryResult, MixedMail } from '../mail/envelope.ts';
import type { TimelyDirectory } from '../mixer/clock-watch.ts';
import { speaksFor } from '../mixnet/assemble.ts';
import { exitForDomain, nodeByPeer } from '../mixnet/directory.ts';
import type { Store } from '../redis/embedded.ts';
import { PassedStore } from '../redis/passed-store.ts';

/** What the filters stand on. */
export interface FilterOptions {
  readonly config: Config;
  readonly settings: NonNullable<Config['gateway']>;
  readonly directory: TimelyDirectory;
  readonly store: Store;
  readonly primitives: Primitives;
  /** Of this gateway. */
  readonly peerId: string;
  readonly log: Log;
}

/** The filters, ready to listen. */
export interface Filters {
  deliver(mail: ArrivedMail): Promise<DeliveryResult>;
  /** Whether policy delivers to a domain that the directory does not give us. */
  acceptsDomain(domain: string): boolean;
  listen(
    accept: (mail: MixedMail) => Promise<'stored' | 'repeat'>,
    bounced: ReturnsOptions['bounced'],
  ): Promise<Listening>;
  close(): Promise<void>;
}

/** Puts the filters together; nothing listens yet. */
export function openFilters(options: FilterOptions): Filters {
  const { config, settings, directory, store, primitives, log } = options;
  const secret = (name: string): Uint8Array =>
    readOrCreateSecret(join(config.data_dir, name), primitives.random);
  const { hostname } = settings;
  const back = new Submitter({ server: settings.reinject, hostname });
  const out = new Submitter({ server: settings.deliver, hostname });
  const acceptsDomain = (domain: string): boolean => settings.exit.domains.includes(domain);
  const ownDomains = (): readonly string[] => {
    const held = directory.last();
    return (held && nodeByPeer(held, options.peerId)?.domains) ?? [];
  };
  const returnKey = secret('return.key');
  const { domains, recipients_per_hour, message_bytes_max, opt_out_file } = settings.exit;
  const optOut = opt_out_file === undefined ? null : new OptOutList(opt_out_file, log);
  const policy = new ExitPolicy({
    owns: (domain) => ownDomains().includes(domain),
    wider: { domains, recipientsPerHour: recipients_per_hour, messageBytesMax: message_bytes_max },
    optedOut: optOut && ((mailbox) => optOut.has(mailbox)),
    now: () => performance.now(),
  });
  return {
    acceptsDomain,
    deliver: async (mail) =>
      await createExit({
        submitter: out,
        policy,
        sender: settings.exit.sender,
        returnDomain: returnDomainOf(settings, ownDomains()),
        returnKey,
        primitives,
        log,
      })(mail),
    listen: async (accept, bounced) =>
      await listen({
        lmtp: settings.lmtp,
        smtp: settings.smtp,
        returns: {
          address: settings.returns,
          receive: createReturns({ bounced, returnKey, primitives, log }),
        },
        hostname,
        allowRemote: settings.allow_remote,
        messageBytesMax: settings.message_bytes_max,
        recipientsMax: settings.recipients_max,
        log,
        receive: createEntry({
          accept,
          view: () => directoryView(directory, options.peerId),
          pressure: () => store.pressure(),
          policy: { partial: settings.partial },
          limiter: new SendingLimiter(limitsOf(settings.limits)),
          submitter: back,
          passed: new PassedStore(store),
          primitives,
          idKey: secret('mail-id.key'),
          log,
        }),
      }),
    close: async () => {
      await back.close();
      await out.close();
    },
  };
}

/**
 * The domain of return addresses. Never one of `exit.domains`: those are others', and bounces would go there
 * in the clear.
 * @param own what the directory gives to this exit
 */
export function returnDomainOf(
  { exit, hostname }: Pick<FilterOptions['settings'], 'exit' | 'hostname'>,
  own: readonly string[],
): string {
  return exit.return_domain ?? own[0] ?? hostname;
}

function limitsOf({ sender, client }: FilterOptions['settings']['limits']): SendingLimits {
  const allowance = (of: typeof sender) => ({
    mailsPerHour: of.mails_per_hour,
    bytesPerHour: of.bytes_per_hour,
    recipientsPerHour: of.recipients_per_hour,
  });
  return { sender: allowance(sender), client: allowance(client) };
}

/** What decisions go by; a domain that was ever served never falls back to the clear. */
function directoryView(store: TimelyDirectory, peerId: string): DirectoryView {
  const current = store.current();
  const held = current.ok ? current.directory : null;
  const state = current.ok ? 'valid' : stateOf(current.reason);
  return {
    state,
    serves: (domain) =>
      store.remembers(domain) || (held !== null && exitForDomain(held, domain) !== null),
    speaksFor: (sender) => {
      const own = held && nodeByPeer(held, peerId);
      return own ? speaksFor(held, own.owner, sender) : false;
    },
    exitOf: (domain) => (held === null ? null : (exitForDomain(held, domain)?.peerId ?? null)),
  };
}

function stateOf(
  reason: Extract<ReturnType<TimelyDirectory['current']>, { ok: false }>['reason'],
): DirectoryView['state'] {
  if (reason === 'clock-wrong') return reason;
  if (reason === 'snapshot-equivocated') return 'equivocated';
  return reason === 'directory-expired' ? 'expired' : 'missing';
}
