/** Addresses of the envelope, between angle brackets: what is taken is written again to the next server. */
import { lookupDomain, scanPath, splitAddress } from '../../../src/mail/address.ts';
import { domainOf } from '../../../src/mixnet/envelope.ts';
import { BYTE_MUTATIONS } from '../mutate-bytes.ts';
import { ADDRESSES, ADDRESS_WORDS, textSeeds } from '../seeds.ts';
import { hasControls, hold, lossyText, type Target } from '../target.ts';

/** As directory-texts.ts has it: no other name has a gateway. */
const SERVED =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

export function openAddress(): Target {
  return {
    seeds: textSeeds(ADDRESSES),
    mutations: BYTE_MUTATIONS,
    dictionary: ADDRESS_WORDS,
    inputBytesMax: 4_096,
    shortRuns: 40_000,
    run(input) {
      const text = lossyText(input);
      const path = scanPath(`<${text}>`);
      if (!path.ok || path.mailbox === null) return;
      const { address, local, domain } = path.mailbox;
      hold(!hasControls(address), 'a control character in an address');
      hold(domain === '' || address.startsWith(`${local}@`), 'the parts are not the address');
      const again = scanPath(`<${address}>`);
      hold(again.ok && again.mailbox !== null, 'an address that was taken is refused again');
      hold(again.rest === '', 'something follows an address that was taken');
      hold(again.mailbox.address === address, 'the next server reads another address');
      const split = splitAddress(address);
      hold(typeof split !== 'string', 'an address that was taken cannot be split');
      hold(split.domain === domain && split.local === local, 'splitting differs from reading');
      checkDomain(address, domain);
    },
  };
}

/** Entry and exit look a domain up by functions of their own: they must never disagree about a served one. */
function checkDomain(address: string, domain: string): void {
  const exits = domainOf(address);
  if (SERVED.test(domain)) hold(exits === domain, 'the exit reads another domain than the entry');
  if (exits !== null && SERVED.test(exits)) {
    hold(exits === domain, 'the entry reads another domain than the exit');
  }
  if (SERVED.test(domain)) hold(lookupDomain(domain) === domain, 'a domain is mapped twice');
}
