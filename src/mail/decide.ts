/**
 * What happens to a mail, recipient by recipient: mix, pass, defer or refuse, each with a named
 * reason. Pure; the same reason stands in the log, in the reply and in the tests.
 */
import type { OptIn } from './opt-in.ts';

/** What the gateway knows about who serves which domain. */
export interface DirectoryView {
  /** Whether there is a verified directory, and whether it still holds. */
  readonly state: 'valid' | 'expired' | 'missing' | 'clock-wrong' | 'equivocated';
  /** Whether the domain (lower case, A-labels) is in the directory or was in one we have seen. */
  serves(domain: string): boolean;
  /** Peer id of the exit that serves the domain; null where none can be reached now. */
  exitOf(domain: string): string | null;
  /** Whether exits take mail of this sender from us: they do for our own domains only. */
  speaksFor(sender: string): boolean;
}

export interface MailPolicy {
  /** Recipients inside and outside the mixnet in one mail: the rest passes, or the mail is refused. */
  readonly partial: 'split' | 'refuse';
}

export interface DecideInput {
  /** Empty for the null sender. */
  readonly sender: string;
  readonly optIn: OptIn;
  /** Whether the header is longer than we look at. */
  readonly headerTruncated: boolean;
  /** Each recipient's domain, for look-ups. */
  readonly domains: readonly string[];
  readonly policy: MailPolicy;
  readonly directory: DirectoryView;
}

export type PassReason = 'not-opted-in' | 'null-sender' | 'domain-outside';
export type DeferReason =
  | 'directory-missing'
  | 'directory-expired'
  | 'clock-wrong'
  | 'snapshot-equivocated'
  | 'exit-unroutable';
export type RefuseReason =
  'required-outside' | 'partial-refused' | 'header-too-long' | 'sender-foreign';

/** What happens to one recipient. */
export type Verdict =
  | { readonly action: 'mix'; readonly exit: string }
  | { readonly action: 'pass'; readonly reason: PassReason }
  | { readonly action: 'defer'; readonly reason: DeferReason }
  | { readonly action: 'refuse'; readonly reason: RefuseReason };

/**
 * The verdict on each recipient, in the order of `domains`. Nothing ever downgrades: a domain once
 * seen in a verified directory is mixed or waits, and without a directory that holds, every opted-in
 * mail waits, because who serves a domain now is not known.
 */
export function decide(input: DecideInput): readonly Verdict[] {
  const { optIn, domains, directory } = input;
  const all = (verdict: Verdict): readonly Verdict[] => domains.map(() => verdict);
  if (optIn === 'no') return all({ action: 'pass', reason: 'not-opted-in' });
  // Bounces and receipts tell that a mail was sent: mixed only where the sender insists.
  if (input.sender === '' && optIn !== 'required') {
    return all({ action: 'pass', reason: 'null-sender' });
  }
  // Received fields beyond what we look at would travel on: too large a header is refused by size.
  if (input.headerTruncated) return all({ action: 'refuse', reason: 'header-too-long' });
  if (directory.state === 'missing') return all({ action: 'defer', reason: 'directory-missing' });
  if (directory.state === 'clock-wrong') return all({ action: 'defer', reason: 'clock-wrong' });
  if (directory.state === 'equivocated') {
    return all({ action: 'defer', reason: 'snapshot-equivocated' });
  }
  if (directory.state === 'expired') return all({ action: 'defer', reason: 'directory-expired' });
  const verdicts = domains.map((domain) => decideDomain(domain, optIn, directory));
  // No exit would deliver it, so its sender hears so now; in the clear is not what he asked for.
  if (
    input.sender !== '' &&
    !directory.speaksFor(input.sender) &&
    verdicts.some(({ action }) => action === 'mix')
  ) {
    return verdicts.map((verdict) =>
      verdict.action === 'mix' ? { action: 'refuse', reason: 'sender-foreign' } : verdict,
    );
  }
  const outside = verdicts.some(({ action }) => action === 'pass');
  if (
    input.policy.partial === 'refuse' &&
    outside &&
    verdicts.some(({ action }) => action !== 'pass')
  ) {
    return all({ action: 'refuse', reason: 'partial-refused' });
  }
  return verdicts;
}

function decideDomain(domain: string, optIn: OptIn, directory: DirectoryView): Verdict {
  if (domain === '' || !directory.serves(domain)) {
    return optIn === 'required'
      ? { action: 'refuse', reason: 'required-outside' }
      : { action: 'pass', reason: 'domain-outside' };
  }
  const exit = directory.exitOf(domain);
  return exit === null ? { action: 'defer', reason: 'exit-unroutable' } : { action: 'mix', exit };
}
