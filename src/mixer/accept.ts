/**
 * Where mail enters the mixnet: the envelope is signed by this gateway, and when `accept` returns the
 * mail is on disk and 250 may be said.
 */
import type { Identity } from '../crypto/keys.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { PanoramixError } from '../errors.ts';
import type { MixedMail } from '../mail/envelope.ts';
import type { Directory } from '../mixnet/directory.ts';
import { signEnvelope, type Envelope } from '../mixnet/envelope.ts';
import { FRAGMENTS_MAX, fragmentsOf } from '../mixnet/fragment.ts';
import type { Geometry } from '../mixnet/geometry.ts';
import { joinedBytes } from '../mixnet/prepare.ts';
import { coarseEnd } from '../redis/coarse-time.ts';
import type { MailStore } from '../redis/mail-store.ts';
import type { DirectorySource } from './directory-source.ts';
import type { Notices } from './notices.ts';

/** An expiry to the ms would tell the exit when the mail was sent; of 5 days a step is 6 hours. */
const EXPIRY_STEPS = 20;
/** An exit takes what expires at most a day later than the snapshot says (`mixnet/mix.ts`). */
const EXPIRY_STEP_MS_MAX = 6 * 3_600_000;

export interface AcceptOptions {
  readonly identity: Identity;
  readonly primitives: Primitives;
  readonly mails: Pick<MailStore, 'accept'>;
  /** What is kept for the sender in the same write. */
  readonly notices: Pick<Notices, 'writeCall'>;
  readonly directory: DirectorySource;
  readonly geometryOf: (directory: Directory) => Geometry;
  readonly now: () => number;
}

/**
 * Takes in the part of a mail that goes to one exit.
 * @returns `repeat` where a mail of this id was taken within 14 days: say 250 again
 * @throws PanoramixError `directory-unusable`, `redis-unavailable`, `storage-pressure`: say 451;
 * `mail-too-large`: say 552, for no exit would keep its fragments
 */
export async function acceptMail(
  options: AcceptOptions,
  mail: MixedMail,
): Promise<'stored' | 'repeat'> {
  const { identity, primitives, mails, notices, directory, geometryOf, now } = options;
  const held = directory.current();
  if (!held.ok) throw new PanoramixError('directory-unusable', held.reason);
  const lifetimeMs = held.directory.traffic.expiryMs;
  const envelope: Envelope = {
    mixnet: held.directory.mixnetId,
    messageId: mail.messageId,
    exit: mail.exit,
    gateway: identity.peerId,
    from: mail.from,
    recipients: mail.recipients,
    body: mail.body,
    smtputf8: mail.smtputf8,
    ...(mail.ret === undefined ? {} : { ret: mail.ret }),
    bytes: mail.data.length,
    sha256: mail.sha256,
    expiryMs: coarseEnd(now(), lifetimeMs, Math.min(lifetimeMs / EXPIRY_STEPS, EXPIRY_STEP_MS_MAX)),
  };
  const signed = signEnvelope(primitives, identity, envelope);
  const messageBytes = joinedBytes(signed, mail.data);
  const fragments = fragmentsOf(messageBytes, geometryOf(held.directory));
  if (fragments > FRAGMENTS_MAX) {
    throw new PanoramixError('mail-too-large', `${messageBytes} bytes`);
  }
  const { messageId, data } = mail;
  const notice = notices.writeCall(envelope, signed, data, fragments);
  return await mails.accept({ messageId, envelope: signed, data, notice });
}
