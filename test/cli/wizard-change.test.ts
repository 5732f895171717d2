import test from 'ava';
import { wishOf } from '../../src/cli/wizard-change.ts';
import type { ChangeGround } from '../../src/wizard/change-text.ts';

const [a, b] = ['a'.repeat(64), `aaaaaaaab${'0'.repeat(55)}`] as [string, string];
const ground = {
  standing: { owners: [a, b], rule: 'all', entry: { nodes: [{ peer_id: a }, { peer_id: b }] } },
} as unknown as ChangeGround;

test('flags say what is wished for, and none that it goes on', (t) => {
  t.is(wishOf({}, ground, a), null);
  t.is(wishOf({ yes: true, json: true }, ground, a), null);
  t.deepEqual(
    wishOf(
      {
        addDomain: ['x.example'],
        removeDomain: ['y.example'],
        weight: '3',
        roles: 'mix, gateway',
        node: 'aaaaaaaab',
        removeNode: [b],
        removeOwner: ['aaaaaaaab0'],
        invite: '2',
        set: ['delay_mean_ms=3000', 'ticks_per_second=0.5'],
        rule: 'half',
      },
      ground,
      a,
    ),
    {
      add_domains: ['x.example'],
      remove_domains: ['y.example'],
      weight: 3,
      roles: ['mix', 'gateway'],
      node: b,
      remove_nodes: [b],
      remove_owners: [b],
      invite: 2,
      set: { delay_mean_ms: 3000, ticks_per_second: 0.5 },
      rule: { m: 2, n: 3 },
    },
  );
  t.deepEqual(wishOf({ leave: true, rule: '1' }, ground, a), {
    remove_owners: [a],
    rule: { m: 1, n: 1 },
  });
  t.deepEqual(wishOf({ rule: 'all' }, ground, a), { rule: 'all' });
});

for (const [flags, why] of [
  [{ removeNode: ['aaaaaaaa'] }, /more than one/],
  [{ removeNode: [a.slice(0, 7)] }, /no node/],
  [{ removeOwner: ['ffffffff'] }, /no owner/],
  [{ weight: '0' }, /whole number/],
  [{ weight: '1.5' }, /whole number/],
  [{ roles: 'relay' }, /neither mix nor gateway/],
  [{ set: ['delay=3'] }, /--set delay=3/],
  [{ set: ['delay_mean_ms='] }, /--set/],
  [{ set: ['delay_mean_ms=soon'] }, /--set/],
  [{ rule: '3' }, /3 of 2 owners can never sign/],
] as const) {
  test(`${JSON.stringify(flags)} is refused with its reason`, (t) => {
    t.throws(() => wishOf(flags, ground, a), { message: why });
  });
}
