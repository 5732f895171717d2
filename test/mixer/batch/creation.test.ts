import test from 'ava';
import { endpointId } from '../../../src/api/fields.ts';
import { isKeptForAnother } from '../../../src/api/endpoint.ts';
import { gatewayIdOf, nextGatewayId } from '../../../src/mixer/batch/creation.ts';
import { linkIdOf } from '../../../src/mixer/batch/own-link.ts';

const MIXNET = '0123456789abcdef'.repeat(4);
const OWNER = 'fedcba9876543210'.repeat(4);

for (const name of ['gateway', 'g', 'a_name_of_24_letters_abc', 'abcdefabcdefabcdefabcdef']) {
  test(`gateways that follow ${name}_1 have ids that nobody else can take, and short enough`, (t) => {
    let id = gatewayIdOf(name, 1);
    for (let number = 2; number <= 1_001; number++) {
      id = nextGatewayId(MIXNET, id);
      t.true(id.endsWith(`_0123456789abcdef_${number}`), id);
    }
    t.false(isKeptForAnother(id, MIXNET));
    t.true(isKeptForAnother(id, OWNER));
    const link = linkIdOf(OWNER, id);
    t.true(endpointId.safeParse(link).success, link);
    t.false(isKeptForAnother(link, OWNER));
    t.true(isKeptForAnother(link, MIXNET));
  });
}
