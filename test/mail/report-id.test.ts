import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { portable } from '../../src/crypto/portable.ts';
import { reportIdOf } from '../../src/mail/report-id.ts';

const MAIL = '00112233445566778899aabbccddeeff';

test('the same mail and event give the same id, anything else another', (t) => {
  const ids = [
    reportIdOf(native, 'failed', MAIL),
    reportIdOf(native, 'delayed', MAIL),
    reportIdOf(native, 'failed', MAIL.replace('00', '01')),
    reportIdOf(native, 'bounced', MAIL, [1]),
    reportIdOf(native, 'bounced', MAIL, [1, 2]),
    reportIdOf(native, 'bounced', MAIL, [12]),
  ];
  t.is(new Set([...ids, MAIL]).size, ids.length + 1);
  for (const id of ids) t.regex(id, /^[0-9a-f]{32}$/);
  t.is(reportIdOf(portable, 'failed', MAIL), reportIdOf(native, 'failed', MAIL));
  t.throws(() => reportIdOf(native, 'failed', MAIL.slice(2)), { instanceOf: RangeError });
});
