/**
 * From fragments to mail: everything that is checked between the last fragment and delivery. Who
 * signed, that it is for us, that sender and recipients are what each gateway may speak for, and
 * that the bytes are those that went in.
 */
import { equalBytes, fromHex } from '../bytes.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { Directory } from './directory.ts';
import {
  domainOf,
  verifyEnvelope,
  type Envelope,
  type EnvelopeReason,
  type Recipient,
} from './envelope.ts';
import { join } from './fragment.ts';
import { splitMail } from './prepare.ts';

/** Reasons for which no other directory would help: the mail ends here. */
type FinalReason =
  | EnvelopeReason
  | 'mail-malformed'
  | 'message-id-mismatch'
  | 'mixnet-mismatch'
  | 'exit-mismatch'
  | 'size-mismatch'
  | 'hash-mismatch'
  | 'mail-expired';

/** Reasons that pass when the directory changes: the mail waits until it expires. */
type DirectoryLagReason = 'gateway-unknown' | 'sender-domain-foreign' | 'recipients-foreign';

export type AssembleReason = FinalReason | DirectoryLagReason;

export type Assembled =
  | {
      readonly kind: 'mail';
      readonly envelope: Envelope;
      readonly data: Uint8Array;
      /** Recipients that are ours to deliver to. */
      readonly ours: readonly Recipient[];
      /** Recipients in domains that neither the directory nor the exit's policy gives to us. */
      readonly foreign: readonly Recipient[];
    }
  | {
      readonly kind: 'refused';
      readonly reason: AssembleReason;
      readonly temporary: boolean;
      /** Where its signature holds, so that somebody can be told; null else. */
      readonly envelope: Envelope | null;
    };

/** What an exit knows when it judges a mail. */
export interface ExitView {
  readonly primitives: Primitives;
  readonly directory: Directory;
  /** The exit's own peer id. */
  readonly me: string;
  /** The operator's wider policy: domains beyond those that the directory gives to this gateway. */
  readonly acceptsDomain: (domain: string) => boolean;
  readonly nowMs: number;
}

/**
 * Judges a complete message.
 * @param matchesId whether a message id (16 bytes) is the one that the fragments had
 * @param parts the bytes of all fragments, in order
 */
export function assembleMail(
  view: ExitView,
  matchesId: (messageId: Uint8Array) => boolean,
  parts: readonly Uint8Array[],
): Assembled {
  const mail = splitMail(join(parts));
  if (mail === null) return refuse('mail-malformed');
  const verified = verifyEnvelope(view.primitives, mail.signedEnvelope);
  if (!verified.ok) return refuse(verified.reason);
  const { envelope } = verified;
  const reason = finalReason(view, matchesId, envelope, mail.data);
  if (reason !== null) return refuse(reason, envelope);

  const gateway = view.directory.nodes.find(
    ({ peerId, roles }) => peerId === envelope.gateway && roles.includes('gateway'),
  );
  if (gateway === undefined) return wait('gateway-unknown', envelope);
  if (envelope.from !== '' && !speaksFor(view.directory, gateway.owner, envelope.from)) {
    return wait('sender-domain-foreign', envelope);
  }
  const { ours, foreign } = sortRecipients(view, envelope.recipients);
  if (ours.length === 0) return wait('recipients-foreign', envelope);
  return { kind: 'mail', envelope, data: mail.data, ours, foreign };
}

function finalReason(
  view: ExitView,
  matchesId: (messageId: Uint8Array) => boolean,
  envelope: Envelope,
  data: Uint8Array,
): FinalReason | null {
  if (!matchesId(fromHex(envelope.messageId) as Uint8Array)) return 'message-id-mismatch';
  if (envelope.mixnet !== view.directory.mixnetId) return 'mixnet-mismatch';
  if (envelope.exit !== view.me) return 'exit-mismatch';
  if (envelope.expiryMs <= view.nowMs) return 'mail-expired';
  if (envelope.bytes !== data.length) return 'size-mismatch';
  const sha256 = fromHex(envelope.sha256) as Uint8Array;
  return equalBytes(view.primitives.sha256(data), sha256) ? null : 'hash-mismatch';
}

/** A set, for a gateway may have 10 000 domains and a mail as many recipients. */
function sortRecipients(
  view: ExitView,
  recipients: readonly Recipient[],
): { readonly ours: readonly Recipient[]; readonly foreign: readonly Recipient[] } {
  const own = new Set(view.directory.nodes.find(({ peerId }) => peerId === view.me)?.domains);
  const ours: Recipient[] = [];
  const foreign: Recipient[] = [];
  for (const recipient of recipients) {
    const domain = domainOf(recipient.address);
    const isOurs = domain !== null && (own.has(domain) || view.acceptsDomain(domain));
    (isOurs ? ours : foreign).push(recipient);
  }
  return { ours, foreign };
}

/** A gateway speaks for all domains of its owner: a provider may run several gateways. */
export function speaksFor(directory: Directory, owner: string, from: string): boolean {
  const domain = domainOf(from);
  return (
    domain !== null &&
    directory.nodes.some((node) => node.owner === owner && node.domains.includes(domain))
  );
}

function refuse(reason: FinalReason, envelope: Envelope | null = null): Assembled {
  return { kind: 'refused', reason, temporary: false, envelope };
}

function wait(reason: DirectoryLagReason, envelope: Envelope): Assembled {
  return { kind: 'refused', reason, temporary: true, envelope };
}
