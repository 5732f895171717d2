/**
 * How a report from another provider shows that it is about a mail of ours: it names that mail's message id,
 * which only its entry and its exit know. So a user who wants no mail out of the mixnet hears of his own.
 */
import { HEADER_BYTES_MAX, fieldText, scanHeader } from './message.ts';

/** The field that names the mail; in the header of the report itself. */
export const PROOF_FIELD = 'X-PANORAMIX-Report-For';

/**
 * The message id that a report names, 32 hex digits; null where it names none, or two.
 * @param data canonical bytes
 */
export function proofIn(data: Uint8Array): string | null {
  const { fields } = scanHeader(data.subarray(0, HEADER_BYTES_MAX));
  const [field, ...more] = fields.filter(({ name }) => name === PROOF_FIELD.toLowerCase());
  if (field === undefined || more.length > 0) return null;
  const text = fieldText(data, field);
  return /^[0-9a-f]{32}$/.test(text) ? text : null;
}
