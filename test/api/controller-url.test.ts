import test from 'ava';
import {
  isInsecureUrl,
  isLoopbackUrl,
  requireSecureUrl,
  requireUrlForOthers,
} from '../../src/api/controller-url.ts';
import { PanoramixError } from '../../src/errors.ts';

const rows: readonly (readonly [string, { loopback: boolean; insecure: boolean }])[] = [
  ['http://127.0.0.1:8000/', { loopback: true, insecure: false }],
  ['http://127.9.8.7/', { loopback: true, insecure: false }],
  ['http://LocalHost:8000', { loopback: true, insecure: false }],
  ['http://[::1]:8000/panoramix', { loopback: true, insecure: false }],
  // What a URL parser makes of them is 127.0.0.1.
  ['http://2130706433/', { loopback: true, insecure: false }],
  ['http://127.1/', { loopback: true, insecure: false }],
  ['https://127.0.0.1/', { loopback: true, insecure: false }],
  ['https://mix.example.org/', { loopback: false, insecure: false }],
  ['https://10.77.0.1:8443/', { loopback: false, insecure: false }],
  ['http://mix.example.org/', { loopback: false, insecure: true }],
  ['http://10.77.0.1:8000/', { loopback: false, insecure: true }],
  ['http://0.0.0.0:8000/', { loopback: false, insecure: true }],
  ['http://[::]/', { loopback: false, insecure: true }],
  ['http://[::ffff:127.0.0.1]/', { loopback: false, insecure: true }],
  ['http://127.0.0.1.example.org/', { loopback: false, insecure: true }],
  ['http://localhost.example.org/', { loopback: false, insecure: true }],
  ['http://127.0.0.1@mix.example.org/', { loopback: false, insecure: true }],
  ['ftp://mix.example.org/', { loopback: false, insecure: true }],
];
for (const [url, { loopback, insecure }] of rows) {
  test(`${url} is ${loopback ? '' : 'not '}this host, and ${insecure ? 'not ' : ''}to be talked to`, (t) => {
    t.is(isLoopbackUrl(url), loopback);
    t.is(isInsecureUrl(url), insecure);
    if (!insecure) return t.notThrows(() => requireSecureUrl(url));
    const error = t.throws(() => requireSecureUrl(url), { instanceOf: PanoramixError });
    return t.like(error, { code: 'url-insecure', temporary: false });
  });
}

test('a node of a mixnet beyond this host does not sign a URL that leads others to themselves', (t) => {
  const meeting = 'https://mix.example.org/';
  t.throws(() => requireUrlForOthers('http://127.0.0.1:8000/', meeting), {
    code: 'config-invalid',
  });
  t.throws(() => requireUrlForOthers('https://localhost/', meeting), { code: 'config-invalid' });
  t.notThrows(() => requireUrlForOthers('https://node.example.org/', meeting));
  t.notThrows(() => requireUrlForOthers('http://127.0.0.1:8001/', 'http://127.0.0.1:8000/'));
});
