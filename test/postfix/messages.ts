/** Small mails for the tests that drive Postfix; lines end in CRLF. */

/**
 * @param headers lines that stand after the ones every mail has; a folded one is one entry
 * @param body ends without CRLF
 */
export function mail(headers: readonly string[] = [], body = 'Hello'): string {
  const all = [
    'From: Ada <ada@alpha.example>',
    'To: Bob <bob@beta.example>',
    'Subject: a test',
    'Date: Fri, 01 Jan 2027 12:00:00 +0000',
    `Message-ID: <${crypto.randomUUID()}@alpha.example>`,
    ...headers,
  ];
  return `${all.join('\r\n')}\r\n\r\n${body}\r\n`;
}

/** A mail with another one attached. */
export function mailWithAttached(attached: string): string {
  const parts = [
    '--part\r\nContent-Type: text/plain\r\n\r\nsee below',
    `--part\r\nContent-Type: message/rfc822\r\n\r\n${attached}`,
    '--part--',
  ];
  return mail(
    ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary=part'],
    parts.join('\r\n'),
  );
}

export const optIn = 'X-PANORAMIX-Mixable: yes';
