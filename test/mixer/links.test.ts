import test from 'ava';
import { native } from '../../src/crypto/native.ts';
import { Links } from '../../src/mixer/links.ts';

const URL = 'http://127.0.0.1:8001/panoramix/';
const OTHER = 'http://127.0.0.1:8002/panoramix/';

test('a link takes few posts at a time, and the others come again soon', (t) => {
  const links = new Links(native.random);
  for (let i = 0; i < 16; i++) t.is(links.enter(URL, 0), null);
  const again = links.enter(URL, 0)?.againAtMs ?? 0;
  t.true(again >= 50 && again <= 100, `${again}`);
  t.is(links.enter(OTHER, 0), null);
  links.leave(URL, 10, 'answered');
  t.is(links.enter(URL, 10), null);
});

test('a link that fails is tried by one packet after each pause, and opens with its answer', (t) => {
  const links = new Links(native.random);
  for (let i = 0; i < 3; i++) links.enter(URL, 0);
  for (let i = 0; i < 3; i++) links.leave(URL, 0, 'failed');
  t.true((links.enter(URL, 499)?.againAtMs ?? 0) >= 500, 'three at once are one failure');
  t.is(links.enter(URL, 500), null);
  t.truthy(links.enter(URL, 500), 'one alone tries');
  links.leave(URL, 600, 'failed');
  t.truthy(links.enter(URL, 1_599));
  t.is(links.enter(URL, 1_600), null);
  links.leave(URL, 1_600, 'answered');
  for (let i = 0; i < 16; i++) t.is(links.enter(URL, 1_600), null);
});

test('a link never pauses for long, not even where the clock was set back', (t) => {
  const links = new Links(native.random);
  let nowMs = 3_600_000;
  for (let i = 0; i < 50; i++, nowMs += 10_000) {
    t.is(links.enter(URL, nowMs), null);
    links.leave(URL, nowMs, 'failed');
  }
  t.truthy(links.enter(URL, 0));
  t.is(links.enter(URL, 10_000), null);
});
