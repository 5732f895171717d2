/** Addresses of what is not there, in every spelling that somebody may try. */
import test from 'ava';
import type { ErrorCode } from '../../../src/errors.ts';
import { privateController, sharedStore } from '../private-controller.ts';
import { assertRefused } from './doors.ts';

const store = sharedStore(test);
const NOBODY = '7'.repeat(64);
const NO_NEGOTIATION = 'N'.repeat(43);

const unknown: readonly (readonly [string, ErrorCode])[] = [
  ['negotiations/ID', 'negotiation-unknown'],
  ['contributions?negotiation_id=ID', 'query-malformed'],
  ['contributions?negotiation=ID', 'query-malformed'],
  ['peers/ID', 'peer-unknown'],
  ['peers/ID/nodes.json', 'peer-unknown'],
  ['endpoints/ID', 'endpoint-unknown'],
  ['endpoint/ID/', 'endpoint-unknown'],
];
const ids = [
  'x',
  '0',
  '%00',
  '..%2fpeers',
  '%zz',
  '*',
  '{panoramix}',
  ':',
  '%F0%9F%92%A9',
  NOBODY.toUpperCase(),
  NOBODY,
  'a'.repeat(7000),
  'constructor',
  '__proto__',
];

for (const [path, reason] of unknown) {
  test(`GET ${path} of an id that is nobody's is refused as ${reason}, whatever it looks like`, async (t) => {
    const bed = await privateController(t, store());
    for (const id of ids) {
      bed.skew(bed.now() - Date.now() + 1000);
      const answer = await bed.fetch(`/panoramix/${path.replace('ID', id)}`);
      assertRefused(t, bed, answer, { reason, what: id });
    }
    const wellFormed = await bed.fetch(`/panoramix/contributions?negotiation=${NO_NEGOTIATION}`);
    t.is(wellFormed.reason, 'negotiation-unknown');
  });
}
