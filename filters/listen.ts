/**
 * The filter's doors: LMTP (10034), which answers each recipient by itself, SMTP (10035), and one for
 * bounces that come back (10038, LMTP). On loopback only, unless the operator says otherwise: whoever reaches them may send mail.
 */
import type { AddressInfo } from 'node:net';
import { isLoopback, type Address } from '../src/config.ts';
import { PanoramixError, wordsOf } from '../src/errors.ts';
import type { Log } from '../src/log.ts';
import type { ReceiveMail } from './filter-connection.ts';
import { SmtpListener } from './smtp-listener.ts';

export interface ListenOptions {
  /** Null: this door stays shut. */
  readonly lmtp: Address | null;
  readonly smtp: Address | null;
  /** The door for bounces, and who takes them. */
  readonly returns?: { readonly address: Address; readonly receive: ReceiveMail };
  readonly hostname: string;
  readonly allowRemote?: boolean;
  readonly messageBytesMax: number;
  readonly recipientsMax: number;
  /** Per door; Postfix's transport has 20 processes by default, several masters may share us. */
  readonly connectionsMax?: number;
  /** Per door; three copies of a message exist at most, so memory stays below three times this. */
  readonly bufferedBytesMax?: number;
  readonly idleMsMax?: number;
  readonly messageMsMax?: number;
  readonly stopMsMax?: number;
  readonly receive: ReceiveMail;
  readonly log: Log;
}

export interface Listening {
  /** Where the doors are: with port 0 the system chose. */
  readonly lmtp: Address | null;
  readonly smtp: Address | null;
  readonly returns: Address | null;
  /** No new mail; what is under way is finished first, within `stopMsMax`. */
  stop(): Promise<void>;
}

const CONNECTIONS_MAX = 200;
/** Postfix keeps an idle connection for seconds; 300 s is what RFC 5321 §4.5.3.2.7 asks of servers. */
const IDLE_MS_MAX = 300_000;
/** Our Postfix is next door and writes without a pause; RFC 5321 §4.5.3.2.5 waits 3 minutes for each piece. */
const MESSAGE_MS_MAX = 600_000;
/** Half of the 20 s in which the gateway stops. */
const STOP_MS_MAX = 10_000;
/** As many of the largest messages at once, at least 256 MiB: the rest is told to come again. */
const LARGEST_AT_ONCE = 8;
const BUFFERED_BYTES_LEAST = 268_435_456;

/**
 * Opens the doors.
 * @throws PanoramixError `config-invalid` for an address beyond loopback without `allowRemote`,
 *   `listen-failed` where the address cannot be had
 */
export async function listen(options: ListenOptions): Promise<Listening> {
  const doors: SmtpListener[] = [];
  const open = async (
    name: 'smtp' | 'lmtp' | 'returns',
    address: Address | null,
    receive = options.receive,
  ): Promise<Address | null> => {
    if (address === null) return null;
    if (!isLoopback(address.host) && !options.allowRemote) {
      throw new PanoramixError(
        'config-invalid',
        `gateway.${name} is ${address.host}: beyond loopback only with gateway.allow_remote`,
      );
    }
    const protocol = name === 'smtp' ? 'smtp' : 'lmtp';
    const door = new SmtpListener({ ...doorOptions(name, protocol, options), receive });
    const bound = await bind(door, name, address);
    doors.push(door);
    return bound;
  };
  const stop = async (): Promise<void> => {
    await Promise.all(doors.map((door) => door.stop()));
  };
  try {
    const lmtp = await open('lmtp', options.lmtp);
    const smtp = await open('smtp', options.smtp);
    const { address = null, receive } = options.returns ?? {};
    const returns = await open('returns', address, receive);
    return { lmtp, smtp, returns, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function doorOptions(name: string, protocol: 'smtp' | 'lmtp', options: ListenOptions) {
  return {
    protocol,
    hostname: options.hostname,
    messageBytesMax: options.messageBytesMax,
    recipientsMax: options.recipientsMax,
    connectionsMax: options.connectionsMax ?? CONNECTIONS_MAX,
    bufferedBytesMax:
      options.bufferedBytesMax ??
      Math.max(BUFFERED_BYTES_LEAST, LARGEST_AT_ONCE * options.messageBytesMax),
    idleMsMax: options.idleMsMax ?? IDLE_MS_MAX,
    messageMsMax: options.messageMsMax ?? MESSAGE_MS_MAX,
    stopMsMax: options.stopMsMax ?? STOP_MS_MAX,
    // Clients come and go; what their errors say may hold addresses, so only the code is logged.
    onError: (error: Error & { code?: string }) =>
      options.log.warn({ door: name, error: error.code ?? error.name }, 'connection failed'),
  };
}

async function bind(door: SmtpListener, name: string, address: Address): Promise<Address> {
  try {
    await new Promise<void>((resolve, reject) => {
      door.server.once('error', reject);
      door.listen(address.port, address.host, () => {
        door.server.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    throw new PanoramixError(
      'listen-failed',
      `gateway.${name}: ${address.host}:${address.port} cannot be listened on: ${wordsOf(error)}`,
      error,
    );
  }
  const bound = door.server.address() as AddressInfo;
  return { host: bound.address, port: bound.port };
}
