/**
 * The door for bounces: mail to a return address of this exit (`src/mail/return-address.ts`), which Postfix
 * routes here. Nothing that comes in is passed on; of a bounce it is read which recipients failed, wait or
 * have the mail, and their sender hears of it through the mixnet. All else is dropped, under a name.
 */
import type { Primitives } from '../src/crypto/primitives.ts';
import { asPanoramixError } from '../src/errors.ts';
import type { Log } from '../src/log.ts';
import { readBounce, type BouncedRecipient } from '../src/mail/bounce.ts';
import type { ReceivedMail, ReceivedRecipient, Reply } from '../src/mail/envelope.ts';
import { canonicalise } from '../src/mail/message.ts';
import { isReturnAddress, messageIdOfReturn } from '../src/mail/return-address.ts';
import type { ReceiveMail } from './filter-connection.ts';
import { replyTo } from './replies.ts';

export interface ReturnsOptions {
  /** Told of a bounce; says what became of it, durable where it was reported. */
  readonly bounced: (messageId: string, recipients: readonly BouncedRecipient[]) => Promise<string>;
  /** The exit's, 32 bytes. */
  readonly returnKey: Uint8Array;
  readonly primitives: Primitives;
  readonly log: Log;
}

/** The function that the listener calls with each mail. */
export function createReturns(options: ReturnsOptions): ReceiveMail {
  return async (mail) => {
    const replies: Reply[] = [];
    for (const recipient of mail.recipients) {
      replies.push(await takeOne(mail, recipient, options));
    }
    return replies;
  };
}

async function takeOne(
  mail: ReceivedMail,
  { address, domain }: ReceivedRecipient,
  options: ReturnsOptions,
): Promise<Reply> {
  const { primitives, returnKey, bounced, log } = options;
  // What is misrouted to us is somebody's mail: his server tells him.
  if (!isReturnAddress(address)) return replyTo('return-foreign');
  const messageId = messageIdOfReturn(primitives, returnKey, address, domain);
  if (messageId === null) return drop('return-forged', log);
  // Postfix has taken it from somebody already: refused, it would go to whomever he said he was.
  if (mail.sender !== '') return drop('return-not-a-bounce', log);
  const recipients = readBounce(canonicalise(mail.data));
  if (recipients === null) return drop('bounce-unreadable', log);
  try {
    const verdict = await bounced(messageId, recipients);
    if (!verdict.endsWith('-reported')) return drop(verdict, log);
    log.info({ event: verdict, messageId }, 'what came back is reported through the mixnet');
    return { code: 250, text: '2.0.0 Reported' };
  } catch (error) {
    const { code } = asPanoramixError(error);
    log.error({ event: 'bounce-waits', reason: code }, 'a bounce could not be taken');
    return replyTo('unexpected');
  }
}

function drop(reason: string, log: Log): Reply {
  log.warn({ event: 'bounce-dropped', reason }, 'a bounce is dropped');
  return { code: 250, text: `2.0.0 Dropped: ${reason}` };
}
