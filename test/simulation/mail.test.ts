import test from 'ava';
import {
  fragmentsOfMail,
  Outbound,
  type SimulatedMail,
  type WaitingFragment,
} from '../../src/simulation/mail.ts';

function mailOf(fragments: number, expiryMs: number): SimulatedMail {
  return {
    from: 'a',
    to: 'b',
    bytes: fragments,
    fragments,
    submittedMs: 0,
    expiryMs,
    firstKeptMs: null,
    keptMs: null,
    deliveredMs: null,
    kept: 0,
    sends: 0,
  };
}

/** Takes all that wait. */
function takeAll(outbound: Outbound, nowMs: number): WaitingFragment[] {
  const taken: WaitingFragment[] = [];
  while (outbound.isWaiting(nowMs)) taken.push(outbound.take());
  return taken;
}

test('of thousands of fragments each is taken once, the oldest first', (t) => {
  const outbound = new Outbound();
  const fragments = fragmentsOfMail(mailOf(5000, 1000));
  const taken: WaitingFragment[] = [];
  for (const [i, fragment] of fragments.entries()) {
    outbound.add(fragment);
    if (i % 3 === 0 && outbound.isWaiting(0)) taken.push(outbound.take());
  }
  t.is(outbound.length, 5000 - taken.length);
  taken.push(...takeAll(outbound, 0));
  t.is(taken.length, 5000);
  t.true(taken.every((fragment, i) => fragment === fragments[i]));
  t.is(outbound.length, 0);
});

test('what is acked or expired is let go', (t) => {
  const outbound = new Outbound();
  const [first, second, third] = fragmentsOfMail(mailOf(3, 1000)) as [
    WaitingFragment,
    WaitingFragment,
    WaitingFragment,
  ];
  const [late] = fragmentsOfMail(mailOf(1, 500)) as [WaitingFragment];
  for (const fragment of [late, first, second, third]) outbound.add(fragment);
  second.isAcked = true;
  t.deepEqual(takeAll(outbound, 500), [first, third]);
  t.false(outbound.isWaiting(0));
});
