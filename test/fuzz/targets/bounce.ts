/** Notifications that come to a return address: anybody may have written them. */
import { BOUNCE } from '../seeds.ts';
import { readBounce } from '../../../src/mail/bounce.ts';
import { canonicalise } from '../../../src/mail/message.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { LINE_MUTATIONS } from '../mutate-lines.ts';
import { mailSeeds } from '../seeds.ts';
import { hold, type Target } from '../target.ts';

const WORDS = [
  'Content-Type: multipart/report; report-type=delivery-status; boundary=', 'boundary="', ';', '"', '=',
  'Content-Type: message/delivery-status', 'Content-Type: message/global-delivery-status', '--next.part/1',
  '--next.part/1--', 'Final-Recipient: rfc822; ', 'Original-Recipient: utf-8; ', 'Action: failed',
  'Action: delayed', 'Status: 5.1.1', 'Status: 4.999.999', 'Diagnostic-Code: smtp; ', '\r\n\r\n', '\r\n ',
  'report-type = "global-delivery-status"', ' ', '\t', '\xef\xbb\xbf', '\xff',
]; // prettier-ignore

export function openBounce(): Target {
  return {
    seeds: [BOUNCE, ...mailSeeds(4_000)],
    mutations: [...LINE_MUTATIONS, ...BYTE_MUTATIONS],
    dictionary: WORDS,
    inputBytesMax: 131_072,
    shortRuns: 6_000,
    run(input) {
      const recipients = readBounce(canonicalise(input));
      if (recipients === null) return;
      hold(recipients.length > 0 && recipients.length <= 10_000, 'no recipients, or too many');
      const actions = ['failed', 'delayed', 'delivered', 'relayed', 'expanded'];
      for (const { original, final, action, status, reply } of recipients) {
        hold(actions.includes(action), 'an action that is none');
        hold(/^[245]\.\d{1,3}\.\d{1,3}$/.test(status), 'a status that is none');
        for (const text of [original, final, reply]) {
          hold(text === null || !/[\r\n]/.test(text), 'a line end in what is said of a recipient');
        }
        hold(final !== '' && final.length <= 2048, 'an address of no length, or too long');
      }
    },
  };
}
