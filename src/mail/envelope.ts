/**
 * What a mail is on its way through a gateway: as the listener took it (`ReceivedMail`), as it goes
 * into the mixnet (`MixedMail`, one for each exit) and as it comes out (`ArrivedMail`).
 */

/** What a server said, or what we say: `text` begins with the enhanced status code (RFC 3463). */
export interface Reply {
  readonly code: number;
  readonly text: string;
}

export interface ReceivedRecipient {
  /** As written in RCPT TO. */
  readonly address: string;
  /** For look-ups, see `Mailbox`. */
  readonly domain: string;
  readonly notify?: string;
  readonly orcpt?: string;
}

/** One transaction as the client gave it. */
export interface ReceivedMail {
  readonly protocol: 'smtp' | 'lmtp';
  /** Postfix's queue id (XFORWARD IDENT), null where the client gave none. */
  readonly queueId: string | null;
  /** Address of who gave it to Postfix (XFORWARD ADDR), for limits alone: never stored or logged. */
  readonly client: string | null;
  /** MAIL FROM; empty for the null sender. */
  readonly sender: string;
  /** One for each RCPT that was accepted, in order, repeated ones too: LMTP answers each. */
  readonly recipients: readonly ReceivedRecipient[];
  readonly body: '7BIT' | '8BITMIME';
  readonly smtputf8: boolean;
  readonly ret?: 'FULL' | 'HDRS';
  readonly envid?: string;
  /** The message, unstuffed, otherwise as it came. */
  readonly data: Uint8Array;
}

export interface MixedRecipient {
  readonly address: string;
  readonly notify?: string;
}

/** The part of a mail that goes to one exit. ORCPT and ENVID stay behind: they name aliases. */
export interface MixedMail {
  /** 32 hex digits. */
  readonly messageId: string;
  /** Peer id of the exit. */
  readonly exit: string;
  /** MAIL FROM; empty for the null sender. */
  readonly from: string;
  readonly recipients: readonly MixedRecipient[];
  readonly body: '7BIT' | '8BITMIME';
  readonly smtputf8: boolean;
  readonly ret?: 'FULL' | 'HDRS';
  /** Canonical bytes, as they are to arrive. */
  readonly data: Uint8Array;
  /** SHA-256 of `data`, 64 hex digits. */
  readonly sha256: string;
}

/** A mail that has come through the mixnet, to be delivered here. */
export interface ArrivedMail {
  readonly messageId: string;
  readonly from: string;
  readonly recipients: readonly MixedRecipient[];
  readonly body: '7BIT' | '8BITMIME';
  readonly smtputf8: boolean;
  readonly ret?: 'FULL' | 'HDRS';
  readonly data: Uint8Array;
  /** SHA-256 that the entry gateway signed, 64 hex digits. */
  readonly sha256: string;
  /** Tells a user what became of a mail of his: he gets it, whatever he wants to get out of the mixnet else. */
  readonly isOwnReport?: true;
}

export interface RefusedRecipient {
  readonly address: string;
  /** Code and text of the reply, such as `550 5.1.1 No such user`. */
  readonly reply: string;
  /** False: try again later. What is unknown is temporary. */
  readonly permanent: boolean;
}

/** What became of each recipient of an arrived mail; together they are all of its recipients. */
export interface DeliveryResult {
  readonly accepted: readonly string[];
  readonly refused: readonly RefusedRecipient[];
}

/** Gives a mail to the mail server; says what became of each of its recipients. */
export type Deliver = (mail: ArrivedMail) => Promise<DeliveryResult>;
