/**
 * The end of the mixnet: an arrived mail becomes ordinary SMTP to Postfix on 10037, if it is for a
 * domain that this exit delivers to and is, byte for byte, what the entry gateway signed.
 */
import { toHex } from '../src/bytes.ts';
import type { Primitives } from '../src/crypto/primitives.ts';
import type { Log } from '../src/log.ts';
import { scanPath, type Mailbox } from '../src/mail/address.ts';
import type {
  ArrivedMail,
  DeliveryResult,
  MixedRecipient,
  RefusedRecipient,
} from '../src/mail/envelope.ts';
import { returnAddress } from '../src/mail/return-address.ts';
import type { ExitPolicy, Objection } from './exit-policy.ts';
import { inTurn } from './in-turns.ts';
import type { Submitter } from './submit.ts';

export interface ExitOptions {
  /** To the delivery port. */
  readonly submitter: Pick<Submitter, 'send'>;
  /** To whom this exit delivers. */
  readonly policy: Pick<ExitPolicy, 'objectionTo'>;
  /**
   * `return`: MAIL FROM is an address of the exit's own, so that a bounce goes back through the
   * mixnet. `original`: the sender's, so that a bounce goes to him in the clear and links him.
   */
  readonly sender: 'return' | 'original';
  /** Domain of the return addresses. */
  readonly returnDomain: string;
  /** 32 bytes, kept while bounces may come. */
  readonly returnKey: Uint8Array;
  readonly primitives: Primitives;
  readonly log: Log;
}

/** The function that the mixer calls with each complete mail. Never throws for what a server does. */
export function createExit(options: ExitOptions): (mail: ArrivedMail) => Promise<DeliveryResult> {
  return async (mail) => {
    const startMs = performance.now();
    const result = await deliver(mail, options);
    options.log.info(
      {
        messageId: mail.messageId,
        accepted: result.accepted.length,
        refused: result.refused.filter(({ permanent }) => permanent).length,
        deferred: result.refused.filter(({ permanent }) => !permanent).length,
        bytes: mail.data.length,
        delayMs: Math.round(performance.now() - startMs),
      },
      'arrived mail handed to the mail server',
    );
    return result;
  };
}

async function deliver(mail: ArrivedMail, options: ExitOptions): Promise<DeliveryResult> {
  const sha256 = await inTurn(mail.data, (data) => toHex(options.primitives.sha256(data)));
  if (sha256 !== mail.sha256) {
    return refuseAll(mail, '554 5.6.0 Content is not what was signed');
  }
  const sender = senderFor(mail, options);
  if (sender === null) return refuseAll(mail, '553 5.1.7 Bad sender address');
  const refused: RefusedRecipient[] = [];
  const recipients: MixedRecipient[] = [];
  for (const recipient of mail.recipients) {
    const objection = objectionTo(recipient, mail, options);
    if (objection === null) recipients.push(recipient);
    else refused.push({ address: recipient.address, ...objection });
  }
  const results = await options.submitter.send({
    sender,
    recipients,
    body: mail.body,
    smtputf8: mail.smtputf8,
    ...(mail.ret === undefined ? {} : { ret: mail.ret }),
    data: mail.data,
  });
  const accepted: string[] = [];
  for (const { address, outcome, reply } of results) {
    if (outcome === 'accepted') accepted.push(address);
    else {
      const permanent = outcome === 'refused';
      refused.push({ address, reply: `${reply.code} ${reply.text}`, permanent });
    }
  }
  return { accepted, refused };
}

/** MAIL FROM for the next server; null where the original is no address at all. */
function senderFor(mail: ArrivedMail, options: ExitOptions): string | null {
  // The null sender stays: nobody waits for a bounce of a bounce.
  if (mail.from === '') return '';
  if (options.sender === 'original') return mailboxOf(mail.from) ? mail.from : null;
  return returnAddress(options.primitives, options.returnKey, mail.messageId, options.returnDomain);
}

/** Why a recipient is not even tried; the gateway that sent it may be anybody's. */
function objectionTo(
  { address, notify }: MixedRecipient,
  { data, isOwnReport }: ArrivedMail,
  { policy }: ExitOptions,
): Objection | null {
  const mailbox = mailboxOf(address);
  if (!mailbox) return { reply: '501 5.1.3 Bad recipient address syntax', permanent: true };
  if (notify !== undefined && !/^[A-Z,]+$/.test(notify)) {
    return { reply: '501 5.5.4 Bad NOTIFY', permanent: true };
  }
  return policy.objectionTo(mailbox, data.length, isOwnReport);
}

/** The address, if written between angle brackets it reads as itself and nothing more. */
function mailboxOf(address: string): Mailbox | null {
  const path = scanPath(`<${address}>`);
  return path.ok && path.rest === '' && path.mailbox?.address === address ? path.mailbox : null;
}

function refuseAll(mail: ArrivedMail, reply: string): DeliveryResult {
  const refused = mail.recipients.map(({ address }) => ({ address, reply, permanent: true }));
  return { accepted: [], refused };
}
