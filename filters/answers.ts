/** The answer to a mail out of what became of its recipients, and the one log line about it. */
import type { Verdict } from '../src/mail/decide.ts';
import type { ReceivedMail, Reply } from '../src/mail/envelope.ts';

/**
 * LMTP answers each recipient. SMTP has one answer: 451 while any recipient may still be taken (what
 * has been taken is remembered, so the retry doubles nothing), then 5xx if one was refused, else 250.
 */
export function answerOf(
  protocol: 'smtp' | 'lmtp',
  replies: readonly Reply[],
  messageIds: readonly string[],
): readonly Reply[] {
  if (protocol === 'lmtp') return replies;
  const temporary = replies.find(({ code }) => code >= 400 && code < 500);
  if (temporary) return [temporary];
  const refused = replies.filter(({ code }) => code >= 500);
  const [first] = refused;
  if (first) {
    const taken = replies.length - refused.length;
    const text = `${first.text}; refused for ${refused.length} recipients, done for ${taken}`;
    return [taken === 0 ? first : { code: first.code, text }];
  }
  if (messageIds.length === 0) return [replies[0] ?? { code: 451, text: '4.3.0 No recipients' }];
  return [{ code: 250, text: `2.6.0 queued in mix ${messageIds.join(' ')}` }];
}

/** The fields of the log line: no address, nothing of the content. */
export function logFields(
  mail: ReceivedMail,
  verdicts: readonly Verdict[],
  answer: readonly Reply[],
  messageIds: readonly string[],
): object {
  const actions = new Set<string>(verdicts.map(({ action }) => action));
  const reasons = verdicts.flatMap((verdict) => ('reason' in verdict ? [verdict.reason] : []));
  return {
    queueId: mail.queueId,
    messageIds,
    action: actions.size === 1 ? [...actions][0] : actions.size === 0 ? 'none' : 'split',
    reasons: [...new Set(reasons)],
    codes: [...new Set(answer.map(({ code }) => code))],
    recipients: mail.recipients.length,
    bytes: mail.data.length,
  };
}
