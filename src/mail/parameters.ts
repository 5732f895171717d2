/**
 * The commands `MAIL FROM` and `RCPT TO` with their ESMTP parameters. Values stay as they were
 * written (ENVID and ORCPT are xtext, RFC 3461 §4), so that re-injection writes what came in.
 */
import { toUtf8 } from '../bytes.ts';
import { scanPath, type AddressReason, type Mailbox } from './address.ts';

/** Why a command is refused. */
export type CommandReason =
  | AddressReason
  | 'command-malformed'
  | 'not-utf8'
  | 'smtputf8-not-declared'
  | 'recipient-missing'
  | 'parameter-unknown'
  | 'parameter-repeated'
  | 'parameter-malformed';

export interface MailCommand {
  /** Null for the null sender `<>`. */
  readonly sender: Mailbox | null;
  readonly body: '7BIT' | '8BITMIME';
  readonly smtputf8: boolean;
  /** SIZE as the client gave it, in bytes. */
  readonly sizeBytes?: number;
  readonly ret?: 'FULL' | 'HDRS';
  /** xtext, raw. */
  readonly envid?: string;
}

export interface RcptCommand {
  readonly recipient: Mailbox;
  /** Upper case, comma-separated: `NEVER`, or some of `SUCCESS,FAILURE,DELAY`. */
  readonly notify?: string;
  /** `addr-type;xtext`, raw. */
  readonly orcpt?: string;
}

export type Parsed<Command> =
  | { readonly ok: true; readonly command: Command }
  | { readonly ok: false; readonly reason: CommandReason };

interface CommandOptions {
  /**
   * Whether an address may hold UTF-8: RFC 6531 asks for SMTPUTF8 on MAIL, Postfix by default
   * (`strict_smtputf8 = no`) takes it without. `'declared'` is the RFC, `'any'` is Postfix.
   */
  readonly utf8: 'declared' | 'any';
}

/** Printable ASCII without `+` and `=`, and `+` with two upper-case hex digits (RFC 3461 §4). */
const XTEXT = /^(?:[!-*,-<>-~]|\+[0-9A-F]{2})*$/;
/** With SMTPUTF8 an ORCPT of type utf-8 may hold UTF-8 itself (RFC 6533 §3). */
const ORCPT = /^[A-Za-z0-9-]+;(?:[!-*,-<>-~]|\+[0-9A-F]{2}|[^\0-\x7f])+$/;
const NOTIFY = /^(?:NEVER|(?:SUCCESS|FAILURE|DELAY)(?:,(?:SUCCESS|FAILURE|DELAY))*)$/;
const MAIL_PARAMETERS = new Set(['SIZE', 'BODY', 'SMTPUTF8', 'RET', 'ENVID']);
const RCPT_PARAMETERS = new Set(['NOTIFY', 'ORCPT']);

/** Reads a whole `MAIL FROM:` command line, without its CRLF. */
export function parseMail(line: Uint8Array, options: CommandOptions): Parsed<MailCommand> {
  const split = readCommand(line, /^MAIL[ \t]+FROM[ \t]*:/i, MAIL_PARAMETERS);
  if (typeof split === 'string') return refuse(split);
  const { mailbox, parameters } = split;
  const size = parameters.get('SIZE');
  const body = (parameters.get('BODY') ?? '7BIT').toUpperCase();
  const ret = parameters.get('RET')?.toUpperCase();
  const envid = parameters.get('ENVID');
  const smtputf8 = parameters.has('SMTPUTF8');
  if (size !== undefined && !/^\d{1,20}$/.test(size)) return refuse('parameter-malformed');
  if (body !== '7BIT' && body !== '8BITMIME') return refuse('parameter-malformed');
  if (ret !== undefined && ret !== 'FULL' && ret !== 'HDRS') return refuse('parameter-malformed');
  if (envid !== undefined && (envid === '' || envid.length > 100 || !XTEXT.test(envid))) {
    return refuse('parameter-malformed');
  }
  if (smtputf8 && parameters.get('SMTPUTF8') !== '') return refuse('parameter-malformed');
  if (options.utf8 === 'declared' && !smtputf8 && mailbox && !isAscii(mailbox.address)) {
    return refuse('smtputf8-not-declared');
  }
  return {
    ok: true,
    command: {
      sender: mailbox,
      body,
      smtputf8,
      ...(size === undefined ? {} : { sizeBytes: Number(size) }),
      ...(ret === undefined ? {} : { ret }),
      ...(envid === undefined ? {} : { envid }),
    },
  };
}

/**
 * Reads a whole `RCPT TO:` command line, without its CRLF.
 * @param smtputf8 whether MAIL declared SMTPUTF8
 */
export function parseRcpt(
  line: Uint8Array,
  smtputf8: boolean,
  options: CommandOptions,
): Parsed<RcptCommand> {
  const split = readCommand(line, /^RCPT[ \t]+TO[ \t]*:/i, RCPT_PARAMETERS);
  if (typeof split === 'string') return refuse(split);
  const { mailbox, parameters } = split;
  if (mailbox === null) return refuse('recipient-missing');
  const notify = parameters.get('NOTIFY')?.toUpperCase();
  const orcpt = parameters.get('ORCPT');
  if (notify !== undefined && !NOTIFY.test(notify)) return refuse('parameter-malformed');
  if (orcpt !== undefined && (orcpt.length > 500 || !ORCPT.test(orcpt))) {
    return refuse('parameter-malformed');
  }
  if (options.utf8 === 'declared' && !smtputf8 && !isAscii(mailbox.address)) {
    return refuse('smtputf8-not-declared');
  }
  return {
    ok: true,
    command: {
      recipient: mailbox,
      ...(notify === undefined ? {} : { notify }),
      ...(orcpt === undefined ? {} : { orcpt }),
    },
  };
}

/** Whether all characters are ASCII. */
export function isAscii(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- ASCII is meant
  return /^[\0-\x7f]*$/.test(text);
}

/** Text as xtext (RFC 3461 §4), for values that we write ourselves. */
export function encodeXtext(text: string): string {
  return text.replace(
    /[^!-*,-<>-~]/g,
    (character) => `+${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  );
}

/** What xtext stands for; malformed escapes stay as they are. */
export function decodeXtext(text: string): string {
  return text.replace(/\+([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

function refuse(reason: CommandReason): { readonly ok: false; readonly reason: CommandReason } {
  return { ok: false, reason };
}

function readCommand(
  line: Uint8Array,
  verb: RegExp,
  known: ReadonlySet<string>,
): { mailbox: Mailbox | null; parameters: ReadonlyMap<string, string> } | CommandReason {
  let text: string;
  try {
    text = toUtf8(line);
  } catch {
    return 'not-utf8';
  }
  const match = verb.exec(text);
  if (!match) return 'command-malformed';
  const path = scanPath(text.slice(match[0].length));
  if (!path.ok) return path.reason;
  const parameters = new Map<string, string>();
  for (const parameter of path.rest.split(/[ \t]+/)) {
    if (parameter === '') continue;
    const equals = parameter.indexOf('=');
    const name = (equals < 0 ? parameter : parameter.slice(0, equals)).toUpperCase();
    if (!known.has(name)) return 'parameter-unknown';
    if (parameters.has(name)) return 'parameter-repeated';
    parameters.set(name, equals < 0 ? '' : parameter.slice(equals + 1));
  }
  return { mailbox: path.mailbox, parameters };
}
