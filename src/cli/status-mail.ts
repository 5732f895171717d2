/** What `panoramix status` says of mail whose senders may have to hear of it. */
import { readMailReport } from '../redis/mail-report.ts';
import type { Store } from '../redis/embedded.ts';
import type { Terminal } from '../terminal.ts';

/** Mail of which a sender may have to hear. */
export interface MailStatus {
  /** Mails taken in here that their exits have not acked. */
  readonly under_way: number;
  /** Reports that nobody has taken yet: for users whose gateway, or mail server, is away. */
  readonly reports_waiting: number;
  /** What is remembered of delivered mails, for 14 days, because they may bounce. */
  readonly return_bytes: number;
  /** What was told or dropped since the gateway's start, by its name; written every ten minutes. */
  readonly counts: Readonly<Record<string, number>>;
}

/** Null where no gateway has run on this store. */
export async function readMailStatus(store: Store): Promise<MailStatus | null> {
  const report = await readMailReport(store);
  if (report === null) return null;
  return {
    under_way: report.underWay,
    reports_waiting: report.reportsWaiting,
    return_bytes: report.returnBytes,
    counts: report.counts,
  };
}

export function printMail(mail: MailStatus, terminal: Terminal): void {
  const { under_way: underWay, reports_waiting: waiting, return_bytes: bytes, counts } = mail;
  const kept = `${(bytes / 1_000_000).toFixed(1)} MB kept for bounces`;
  terminal.line(`mail       ${underWay} under way, ${waiting} reports wait, ${kept}`);
  for (const [name, count] of Object.entries(counts))
    terminal.line(`  ${name.padEnd(24)} ${count}`);
}
