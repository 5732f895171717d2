/**
 * A node's log as a person reads it, in D4.2's words (§5.2) for a batch cycle. The log itself is for machines;
 * this is for whoever watches a node in the wizard's terminal.
 */

/** What a cycle's steps are called once they are applied. */
const STEPS: Readonly<Record<string, string>> = {
  'gateway-full': 'Stopped taking messages at',
  'gateway-close': 'Closed endpoint',
  'gateway-publish': 'Processed endpoint',
  'gateway-open': 'Opened the next cycle of',
};

/** Mails since the start, for the progress line. */
export interface MailCounts {
  taken: number;
  delivered: number;
}

/** Reads a node's log, line by line. */
export class LogView {
  readonly mails: MailCounts = { taken: 0, delivered: 0 };
  /** Of the directory that the node routes by; null before the first. */
  directoryNumber: number | null = null;
  /** The minimum of the cycle that collects messages; null while none does. */
  sizeMin: number | null = null;

  /** What a line of the log says to a person; null for what nobody needs to read. */
  read(line: string): string | null {
    const fields = parseLine(line);
    if (fields === null) return line === '' ? null : line;
    const { level, event, msg } = fields;
    if (level === 'warn' || level === 'error' || level === 'fatal') return problem(fields);
    this.#count(fields);
    if (typeof event === 'string') return this.#event(event, fields) ?? null;
    if (msg === 'mail answered') return answered(fields);
    if (msg === 'arrived mail handed to the mail server') {
      return `Delivered a mail of ${text(fields['bytes'])} bytes`;
    }
    // A controller's daily bread: strangers and repeats.
    if (msg === 'refused a request') return null;
    return typeof msg === 'string' && level === 'info' ? msg : null;
  }

  #count(fields: Fields): void {
    if (fields['event'] === 'mail-prepared') this.mails.taken++;
    if (fields['msg'] === 'arrived mail handed to the mail server') this.mails.delivered++;
    if (fields['event'] === 'directory-taken') this.directoryNumber = Number(fields['number']);
    if (fields['event'] === 'inbox-fills') this.sizeMin = Number(fields['sizeMin']);
    if (fields['event'] === 'gateway-close') this.sizeMin = null;
  }

  #event(event: string, fields: Fields): string | null {
    const endpoint = text(fields['endpointId']);
    const messages = text(fields['messages']);
    const step = STEPS[event];
    if (step) {
      const count = fields['messages'] === undefined ? '' : ` with ${messages} messages`;
      return `Consensus reached: ${text(fields['consensus'])}\n${step} ${endpoint}${count}.`;
    }
    switch (event) {
      case 'inbox-fills':
        return 'Waiting until minimum inbox size is reached.';
      case 'step-pending':
        return `Contribution pending from: ${(fields['owners'] as string[] | undefined)?.join(', ') ?? ''}`;
      case 'inbox-awaited':
        return 'Waiting to collect inbox.';
      case 'link-collected':
        return `Collected input for ${endpoint}: ${messages} messages.`;
      case 'link-processed':
        return `Processed endpoint ${endpoint}.`;
      case 'processbox-collected':
        return `Collected input for processbox of ${endpoint}.`;
      case 'dummies-added':
        return `Filled up with ${text(fields['added'])} dummies.`;
      case 'gateway-renewed':
        return `Opened ${endpoint} with new keys.`;
      case 'epoch-begins':
        return `Agreeing on directory number ${text(fields['number'])}`;
      case 'epoch-agreed':
        return `Consensus reached on directory number ${text(fields['number'])}, signed by ${text(fields['signers'])} nodes`;
      case 'directory-taken':
        return `Routing by directory number ${text(fields['number'])}: ${text(fields['nodes'])} nodes, until ${text(fields['validUntil'])}`;
      case 'mail-prepared':
        return `A mail is on its way in ${counted(fields['packets'], 'packet')}`;
      default:
        return typeof fields.msg === 'string' ? fields.msg : null;
    }
  }
}

type Fields = Readonly<Record<string, unknown>> & {
  readonly level?: unknown;
  readonly event?: unknown;
  readonly msg?: unknown;
};

function problem(fields: Fields): string {
  const { msg, reason, detail } = fields as Record<string, unknown>;
  const why = [reason, detail]
    .filter((part) => typeof part === 'string' && !text(msg).startsWith(`${part}:`))
    .join(': ');
  return `! ${text(msg)}${why && ` (${why})`}`;
}

/** Mail that is not mixed is none of ours. */
function answered(fields: Fields): string | null {
  const { action, reasons } = fields as Record<string, unknown>;
  if (action === 'pass') return null;
  if (action === 'mix' || action === 'split') return 'Took a mail';
  const why = Array.isArray(reasons) ? reasons.join(', ') : '';
  return `Did not take a mail: ${why || 'see the log'}`;
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

function counted(count: unknown, what: string): string {
  return `${text(count)} ${what}${count === 1 ? '' : 's'}`;
}

function parseLine(line: string): Fields | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : null;
  } catch {
    return null;
  }
}
