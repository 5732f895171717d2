/**
 * From a mail that Postfix hands over to its answer: decide, store what is mixed, give back what
 * passes, and only then say 250. Whatever goes wrong on the way is 451: the mail stays with Postfix.
 */
import { toHex } from '../src/bytes.ts';
import type { Primitives } from '../src/crypto/primitives.ts';
import { asPanoramixError, type PanoramixError } from '../src/errors.ts';
import type { Log } from '../src/log.ts';
import { decide, type DirectoryView, type MailPolicy, type Verdict } from '../src/mail/decide.ts';
import type { MixedMail, ReceivedMail, ReceivedRecipient, Reply } from '../src/mail/envelope.ts';
import type { Sending, SendingLimiter } from '../src/mail/limits.ts';
import { bytesToMix, bytesToPass, viewHeader, type HeaderView } from '../src/mail/opt-in.ts';
import { answerOf, logFields } from './answers.ts';
import { canonicaliseInTurns, inTurn } from './in-turns.ts';
import { MailIds } from './mail-ids.ts';
import { Reinjector, type PassedStore } from './reinject.ts';
import { replyTo, type ReplyReason } from './replies.ts';
import type { ReceiveMail } from './filter-connection.ts';
import type { Submitter } from './submit.ts';

export interface EntryOptions {
  /** Keeps a mail for good; resolves only when it is durable. The same id again is `repeat`. */
  readonly accept: (mail: MixedMail) => Promise<'stored' | 'repeat'>;
  readonly view: () => DirectoryView;
  readonly pressure: () => 'open' | 'entry-closed' | 'settle-only';
  readonly policy: MailPolicy;
  /** How much one sender or client may send; none where the operator has said so. */
  readonly limiter: SendingLimiter | null;
  /** To the re-injection port. */
  readonly submitter: Pick<Submitter, 'send'>;
  readonly passed: PassedStore;
  readonly primitives: Primitives;
  /** 32 bytes; see `MailIds`. */
  readonly idKey: Uint8Array;
  readonly log: Log;
  /** Every mail is answered within this time. Postfix would wait 600 s, and then deliver twice. */
  readonly answerMsMax?: number;
}

/** Below the 30 s that we promise, by what writing the answer may take. */
const ANSWER_MS_MAX = 25_000;

/** What a store that does not take a mail means to its sender; all else is ours, and `unexpected`. */
const REPLY_TO_ERROR: Partial<Record<PanoramixError['code'], ReplyReason>> = {
  'mail-too-large': 'too-large',
  'storage-pressure': 'backlog',
  'sender-backlog': 'sender-backlog',
};

/** What is known of each recipient, by index; filled as the work goes on. */
interface Progress {
  readonly verdicts: readonly Verdict[];
  readonly replies: (Reply | undefined)[];
  readonly messageIds: string[];
}

interface Work extends Progress {
  readonly mail: ReceivedMail;
  readonly data: Uint8Array;
  readonly header: HeaderView;
  readonly ids: MailIds;
}

/** The function that the listeners call with each mail. */
export function createEntry(options: EntryOptions): ReceiveMail {
  const reinjector = new Reinjector(options);
  const answerMsMax = options.answerMsMax ?? ANSWER_MS_MAX;
  return async (mail) => {
    const startMs = performance.now();
    let work: Work | null = null;
    let inTime = true;
    try {
      work = await examine(mail, options);
      inTime = await within(answerMsMax, act(work, options, reinjector));
    } catch (error) {
      logFailure(options.log, mail, error);
    }
    const delayMs = Math.round(performance.now() - startMs);
    const unsettled = replyTo(inTime ? 'unexpected' : 'too-slow');
    const replies = mail.recipients.map((_, i) => work?.replies[i] ?? unsettled);
    const answer = answerOf(mail.protocol, replies, work?.messageIds ?? []);
    options.log.info(
      { ...logFields(mail, work?.verdicts ?? [], answer, work?.messageIds ?? []), delayMs },
      'mail answered',
    );
    return answer;
  };
}

async function examine(mail: ReceivedMail, options: EntryOptions): Promise<Work> {
  const data = await canonicaliseInTurns(mail.data);
  const header = viewHeader(data);
  const verdicts = decide({
    sender: mail.sender,
    optIn: header.optIn,
    headerTruncated: header.truncated,
    domains: mail.recipients.map(({ domain }) => domain),
    policy: options.policy,
    directory: options.view(),
  });
  const { primitives, idKey } = options;
  const ids = await inTurn(data, () => new MailIds(primitives, idKey, mail.queueId, data));
  return { mail, data, header, verdicts, ids, replies: [], messageIds: [] };
}

async function act(work: Work, options: EntryOptions, reinjector: Reinjector): Promise<void> {
  const { verdicts, replies } = work;
  const closed = options.pressure() !== 'open';
  for (const [i, verdict] of verdicts.entries()) {
    if (verdict.action === 'defer' || verdict.action === 'refuse') {
      replies[i] = replyTo(verdict.reason);
    } else if (verdict.action === 'mix' && closed) replies[i] = replyTo('backlog');
  }
  // SMTP has one answer for all recipients: where it cannot be 250, nothing is done yet.
  const single = work.mail.protocol === 'smtp';
  if (single && replies.some(Boolean)) return settleRest(work);
  await mixParts(work, options);
  if (single && replies.some((reply) => reply && reply.code !== 250)) return settleRest(work);
  await passPart(work, reinjector);
}

/** Recipients that wait because others do: the reply of those others is theirs too. */
function settleRest({ replies, verdicts }: Work): void {
  const worst = replies.find((reply) => reply && reply.code >= 500) ?? replies.find(isFailure);
  for (const i of verdicts.keys()) replies[i] = worst;
}

function isFailure(reply: Reply | undefined): boolean {
  return reply !== undefined && reply.code !== 250;
}

/** Stores one mail for each exit; a failure is that exit's recipients' alone. */
async function mixParts(work: Work, options: EntryOptions): Promise<void> {
  const parts = new Map<string, number[]>();
  for (const [i, verdict] of work.verdicts.entries()) {
    if (verdict.action !== 'mix' || work.replies[i]) continue;
    parts.set(verdict.exit, [...(parts.get(verdict.exit) ?? []), i]);
  }
  if (parts.size === 0) return;
  const data = await inTurn(work.data, (all) => bytesToMix(all, work.header));
  const sha256 = await inTurn(data, (all) => toHex(options.primitives.sha256(all)));
  for (const [exit, indexes] of parts) {
    const recipients = distinct(indexes.map((i) => work.mail.recipients[i] as ReceivedRecipient));
    const { body, smtputf8, ret } = work.mail;
    const mixed: MixedMail = {
      messageId: work.ids.messageId(
        exit,
        recipients.map(({ address }) => address),
      ),
      exit,
      from: work.mail.sender,
      recipients: recipients.map(({ address, notify }) =>
        notify === undefined ? { address } : { address, notify },
      ),
      body,
      smtputf8,
      ...(ret === undefined ? {} : { ret }),
      data,
      sha256,
    };
    const reply = await storePart(work, mixed, options);
    for (const i of indexes) work.replies[i] = reply;
  }
}

/** The answer for one exit's part: 250 once it is on disk. */
async function storePart(work: Work, mixed: MixedMail, options: EntryOptions): Promise<Reply> {
  const { limiter, log } = options;
  const sending: Sending = {
    sender: mixed.from,
    client: work.mail.client,
    mails: 1,
    bytes: mixed.data.length,
    recipients: mixed.recipients.length,
  };
  const over = limiter?.take(sending, performance.now()) ?? null;
  if (over !== null) return replyTo(over);
  let result: 'stored' | 'repeat' | null = null;
  try {
    result = await options.accept(mixed);
    work.messageIds.push(mixed.messageId);
    return { code: 250, text: `2.6.0 queued in mix ${mixed.messageId}` };
  } catch (error) {
    logFailure(log, work.mail, error);
    return replyTo(REPLY_TO_ERROR[asPanoramixError(error).code] ?? 'unexpected');
  } finally {
    if (result !== 'stored') limiter?.giveBack(sending, performance.now());
  }
}

async function passPart(work: Work, reinjector: Reinjector): Promise<void> {
  const { mail } = work;
  const indexes = [...work.verdicts.keys()].filter((i) => work.verdicts[i]?.action === 'pass');
  if (indexes.length === 0) return;
  const replies = await reinjector.pass(
    {
      sender: mail.sender,
      recipients: distinct(indexes.map((i) => mail.recipients[i] as ReceivedRecipient)),
      body: mail.body,
      smtputf8: mail.smtputf8,
      ...(mail.ret === undefined ? {} : { ret: mail.ret }),
      ...(mail.envid === undefined ? {} : { envid: mail.envid }),
      queueId: mail.queueId,
      data: bytesToPass(work.data, work.header),
    },
    work.ids,
  );
  for (const i of indexes) {
    work.replies[i] = replies.get((mail.recipients[i] as ReceivedRecipient).address);
  }
}

/** Each address once; what a repeated one asked for is what it asked first. */
function distinct(recipients: readonly ReceivedRecipient[]): ReceivedRecipient[] {
  return [
    ...new Map(recipients.toReversed().map((one) => [one.address, one])).values(),
  ].toReversed();
}

/** Whether the work was done in time; where it was not it goes on, and ends by itself. */
async function within(msMax: number, work: Promise<void>): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), msMax);
  try {
    return await Promise.race([work.then(() => true), promise]);
  } finally {
    clearTimeout(timer);
    // After the race nobody listens: a late failure must not end the process.
    work.catch(() => undefined);
  }
}

function logFailure(log: Log, mail: ReceivedMail, thrown: unknown): void {
  const { code, message } = asPanoramixError(thrown);
  log.error({ queueId: mail.queueId, reason: code, error: message }, 'mail could not be taken');
}
