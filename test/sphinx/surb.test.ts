import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { bytes, cases, hopsOf, packetHex, recordedRandom } from './vectors.ts';

for (const { title, vector, sphinx } of cases) {
  if (vector.kind !== 'surb') continue;
  test(`a reply block and its reply are the reference's: ${title}`, (t) => {
    const created = sphinx.createSurb(
      hopsOf(vector),
      bytes(vector.dest),
      recordedRandom(vector.randomness),
    );
    const { surb } = created;
    t.is(toHex(created.id), vector.surb.id);
    t.deepEqual(created.keytuple.map(toHex), [...vector.surb.keytuple]);
    for (const part of ['first', 'alpha', 'beta', 'gamma', 'ktilde'] as const) {
      t.is(toHex(surb[part]), vector.surb[part], part);
    }
    t.is(toHex(sphinx.reply(surb, bytes(vector.message))), packetHex(vector.packet));
    const message = sphinx.openReply(created.keytuple, bytes(vector.steps.at(-1)?.out.delta ?? ''));
    t.is('kind' in message ? message.reason : toHex(message), vector.message);
  });
}
