import test from 'ava';
import { toHex } from '../../../src/bytes.ts';
import { native } from '../../../src/crypto/native.ts';
import { encodeCycleProof } from '../../../src/mixnet/batch-cycle.ts';
import { DUMMIES_SHOWN_MAX } from '../../../src/mixnet/batch-dummy.ts';
import { endpointId } from '../../../src/api/fields.ts';
import { endpointUpdate, isKeptForAnother } from '../../../src/api/endpoint.ts';
import {
  gatewayIdOf,
  nextGatewayId,
  refuseGatewayTerms,
} from '../../../src/mixer/batch/creation.ts';
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

test('owners who fill up agree on no more dummies than a result can show', (t) => {
  const nonces = Array.from({ length: DUMMIES_SHOWN_MAX }, () => toHex(native.random(32)));
  const result = {
    endpoint_id: 'gateway_1',
    status: 'PROCESSED',
    message_hashes: nonces.toSorted(),
    process_proof: encodeCycleProof(nonces),
  };
  t.true(endpointUpdate.safeParse(result).success);
  const terms = {
    endpointId: 'gateway_1',
    description: '',
    sizeMin: DUMMIES_SHOWN_MAX,
    sizeMax: 3_000,
    waitMs: 1_000,
    public: true,
  };
  t.is(refuseGatewayTerms(terms), null);
  t.regex(refuseGatewayTerms({ ...terms, sizeMin: DUMMIES_SHOWN_MAX + 1 }) ?? '', /size_min/);
  t.is(refuseGatewayTerms({ ...terms, sizeMin: 2_000, waitMs: null }), null);
});
