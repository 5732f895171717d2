/**
 * Every reply of the listeners in one table: reason, code, enhanced status code (RFC 3463), text.
 * 5xx is for size, for what Postfix would refuse too, and for the operator's policy; all else is 451.
 */
import type { DeferReason, RefuseReason } from '../src/mail/decide.ts';
import type { Reply } from '../src/mail/envelope.ts';
import type { LimitReason } from '../src/mail/limits.ts';
import type { CommandReason } from '../src/mail/parameters.ts';

export type ReplyReason =
  | CommandReason
  | DeferReason
  | RefuseReason
  | 'too-large'
  | 'too-many-recipients'
  | 'buffers-full'
  | 'backlog'
  | 'sender-backlog'
  | LimitReason
  | 'return-foreign'
  | 'unexpected'
  | 'too-slow'
  | 'stopping'
  | 'mail-nested'
  | 'mail-missing'
  | 'rcpt-missing'
  | 'data-refused'
  | 'chunking-unoffered'
  | 'message-slow';

const WAITING = 'the mixnet cannot be used now; the mail waits, it does not leave in the clear';

const REPLIES: Readonly<Record<ReplyReason, readonly [code: number, text: string]>> = {
  'command-malformed': [501, '5.5.4 Syntax: MAIL FROM:<address> or RCPT TO:<address>'],
  'path-malformed': [501, '5.1.3 Bad address syntax'],
  'control-character': [501, '5.1.3 Bad address syntax'],
  'address-too-long': [501, '5.1.3 Address too long'],
  'local-part-empty': [501, '5.1.3 Bad address syntax'],
  'domain-malformed': [501, '5.1.3 Bad address syntax'],
  'not-utf8': [501, '5.1.3 Address is not UTF-8'],
  'smtputf8-not-declared': [553, '5.6.7 Must declare SMTPUTF8 to send unicode address'],
  'recipient-missing': [501, '5.1.3 Bad recipient address syntax'],
  'parameter-unknown': [555, '5.5.4 Unsupported option'],
  'parameter-repeated': [501, '5.5.4 Option given twice'],
  'parameter-malformed': [501, '5.5.4 Bad option value'],

  'directory-missing': [451, `4.4.1 No verified directory: ${WAITING}`],
  'directory-expired': [451, `4.4.1 Directory has expired: ${WAITING}`],
  'snapshot-equivocated': [451, `4.4.1 Two directories are signed: ${WAITING}`],
  'clock-wrong': [451, `4.4.1 The clock of this server is wrong: ${WAITING}`],
  'exit-unroutable': [451, `4.4.1 No gateway serves this domain now: ${WAITING}`],
  'required-outside': [550, '5.7.1 Mixing is required and this domain is outside the mixnet'],
  'partial-refused': [550, '5.7.1 Some recipients are outside the mixnet; send to them separately'],
  'sender-foreign': [550, '5.7.1 Only senders of our own domains can be mixed'],
  'header-too-long': [552, '5.3.4 Header too long to be mixed'],

  'too-large': [552, '5.3.4 Message too big'],
  'too-many-recipients': [452, '4.5.3 Too many recipients'],
  'buffers-full': [452, '4.3.1 Too much mail at once'],
  'sender-limit': [451, '4.7.1 Too much mixed mail from this sender; it waits its turn'],
  'client-limit': [451, '4.7.1 Too much mixed mail from this client; it waits its turn'],
  backlog: [451, '4.3.1 Storage is nearly full'],
  'sender-backlog': [452, '4.3.1 Too much mail of this sender waits here already'],
  'return-foreign': [550, '5.1.1 Only return addresses of this exit are taken here'],
  unexpected: [451, '4.3.0 Unexpected condition; the mail stays with you'],
  'too-slow': [451, '4.3.0 Not done in time; the mail stays with you'],
  stopping: [421, '4.3.2 Shutting down'],
  'mail-nested': [503, '5.5.1 Nested MAIL command'],
  'mail-missing': [503, '5.5.1 Need MAIL command'],
  'rcpt-missing': [554, '5.5.1 No valid recipients'],
  'data-refused': [421, '4.5.0 DATA was refused: what follows is not read as commands'],
  'message-slow': [421, '4.4.2 The message has not come to its end in time'],
  'chunking-unoffered': [421, '4.5.1 BDAT is not offered: what follows is not read as commands'],
};

/** The reply that a reason gets. */
export function replyTo(reason: ReplyReason): Reply {
  const [code, text] = REPLIES[reason];
  return { code, text };
}
