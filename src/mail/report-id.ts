/**
 * What a report is called: the same for the same mail and the same event, at its entry and at its exit,
 * so that neither a crash nor two that saw the same make a second one of it.
 */
import { concat, fromHex, fromUtf8, toHex } from '../bytes.ts';
import { LABELS, type Primitives } from '../crypto/primitives.ts';

/**
 * `delayed`: not confirmed yet, or not delivered yet; `failed`: recipients that the mail did not reach;
 * `bounced`: recipients that a mail server had taken it for, and then did not deliver it to; `succeeded`:
 * those that it did deliver it to.
 */
export type ReportEvent = 'delayed' | 'failed' | 'bounced' | 'succeeded';

/**
 * The id of a report, 32 hex digits, which is also its message id in the mixnet.
 * @param messageId of the mail that it is about, 32 hex digits: only its entry and its exit know it
 * @param places of the recipients that it is about, where a mail may have several reports of an event
 */
export function reportIdOf(
  primitives: Pick<Primitives, 'sha256'>,
  event: ReportEvent,
  messageId: string,
  places: readonly number[] = [],
): string {
  const id = fromHex(messageId);
  if (id?.length !== 16) throw new RangeError('messageId must be 32 hex digits');
  const about = fromUtf8(`${event} ${places.join(',')}`);
  const hash = primitives.sha256(concat(fromUtf8(LABELS.reportId), id, about));
  return toHex(hash.subarray(0, 16));
}
