/**
 * What a tick takes where both wait for its exit: a fragment that was never sent, or one that is to be sent
 * again. Pure.
 */

/**
 * While first sends wait, so many of them leave between two resends, which so get a third of an exit's
 * ticks. Where a share p of packets is lost, p of all sends are resends: a third is enough up to
 * a loss of 33 %, and an exit that acks nothing holds up new mail to it by half, never for good.
 */
export const FIRSTS_BETWEEN_RESENDS = 2;

/** How many first sends an exit's ticks have taken since the last resend. */
export interface ResendShare {
  readonly firstsSince: number;
}

/** At the start nothing is owed to either. */
export const NO_SENDS: ResendShare = { firstsSince: 0 };

/** What to take; null where nothing waits. */
export function decideSendKind(
  share: ResendShare,
  waiting: { readonly first: boolean; readonly resend: boolean },
): 'first' | 'resend' | null {
  if (!waiting.resend) return waiting.first ? 'first' : null;
  if (!waiting.first) return 'resend';
  return share.firstsSince >= FIRSTS_BETWEEN_RESENDS ? 'resend' : 'first';
}

/** The share after a tick took one. */
export function afterTaking(share: ResendShare, kind: 'first' | 'resend'): ResendShare {
  return kind === 'resend' ? NO_SENDS : { firstsSince: share.firstsSince + 1 };
}
