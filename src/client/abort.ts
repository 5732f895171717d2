/**
 * Stopping a negotiation: whoever does so says it aloud and signs it (`meta.aborted`), so that nobody waits for
 * him and everybody reads who and why. What was said last counts: a signature given before ends nothing any more.
 */
import { contributionText } from '../api/contribution.ts';
import { peerId as peerIdShape, title } from '../api/fields.ts';
import { asPanoramixError, PanoramixError } from '../errors.ts';
import { bodyOf, retrying, type Draft, type Party } from './agree.ts';
import { lastWord, type Meeting } from './meeting.ts';

/** Who stopped a negotiation, and why. */
export interface Aborted {
  readonly by: string;
  /** Printable: it may be a stranger's words on their way to a terminal. */
  readonly reason: string;
  /** Who says so, where it is not he: a coordinator tells of guests whom the others do not know. */
  readonly toldBy?: string;
}

/** As long as others will print it. */
const REASON_LENGTH_MAX = 200;

/**
 * Who has stopped a negotiation, among those who count; null where nobody has.
 */
export function readAbort(meeting: Meeting, heeds: (signer: string) => boolean): Aborted | null {
  for (const { signer, body, latest } of meeting.statements) {
    const aborted: unknown = body.meta['aborted'];
    if (!latest || typeof aborted !== 'object' || aborted === null || !heeds(signer)) continue;
    const { reason, by } = aborted as { reason?: unknown; by?: unknown };
    const who = peerIdShape.safeParse(by);
    const told = who.success && who.data !== signer ? { by: who.data, toldBy: signer } : null;
    return { by: signer, ...told, reason: printable(reason) };
  }
  return null;
}

/**
 * Who has signed two different texts for good in one negotiation, among those who count; null where nobody has.
 * Each honest party signs one, over any number of starts.
 */
export function readEquivocation(
  meeting: Meeting,
  heeds: (signer: string) => boolean,
): string | null {
  const texts = new Map<string, string>();
  for (const { signer, text, accepts } of meeting.statements) {
    if (!accepts || !heeds(signer)) continue;
    if ((texts.get(signer) ?? text) !== text) return signer;
    texts.set(signer, text);
  }
  return null;
}

/**
 * Says a stop, once: our own, or another's whom the others may not have heard.
 * @param draft what the word is about; its `meta` may prove that we may speak here
 * @returns `too-late` where all have signed meanwhile: what was agreed stands
 */
export async function sayAbort(
  party: Party,
  meeting: Meeting,
  draft: Draft,
  aborted: Aborted,
): Promise<{ readonly contribution: number } | 'too-late'> {
  const own = lastWord(meeting, party.peerId);
  if (own && 'aborted' in own.body.meta) return { contribution: own.id };
  const { reason, by } = aborted;
  const told = by === party.peerId ? { reason } : { reason, by };
  const text = contributionText(
    bodyOf(party, meeting, meeting, draft, { accept: false, aborted: told }),
  );
  return await retrying(party, async () => {
    try {
      return { contribution: (await party.client.contribute(meeting.negotiationId, text)).id };
    } catch (error) {
      if (asPanoramixError(error).code === 'negotiation-done') return 'too-late';
      throw error;
    }
  });
}

/** A reason as it may be printed: one line, without control characters, not too long. */
export function printable(reason: unknown): string {
  const text = title.safeParse(
    typeof reason === 'string' ? reason.slice(0, REASON_LENGTH_MAX) : '',
  );
  return text.success && text.data !== '' ? text.data : 'no readable reason';
}

/** The error with which a wizard stops. */
export function abortedError(self: string, { by, reason, toldBy }: Aborted): PanoramixError {
  const who = by === self ? 'we have' : `${by.slice(0, 8)}… has`;
  const source = toldBy === undefined ? '' : ` (${toldBy.slice(0, 8)}… says)`;
  return new PanoramixError('agreement-aborted', `${who} stopped it: ${reason}${source}`);
}
