import test from 'ava';
import { concat, equalBytes, fromHex, toHex, writeUint } from '../../src/bytes.ts';
import { createIdentity } from '../../src/crypto/keys.ts';
import { native } from '../../src/crypto/native.ts';
import { assembleMail, type Assembled, type ExitView } from '../../src/mixnet/assemble.ts';
import { signEnvelope, type Envelope } from '../../src/mixnet/envelope.ts';
import { joinMail } from '../../src/mixnet/prepare.ts';
import { madeDirectory, madeNode, NOW_MS, peerIdOf } from './made-directory.ts';

const identity = createIdentity(native);
const ME = peerIdOf(9);
const data = new Uint8Array([1, 2, 3, 0, 255]);
const messageId = new Uint8Array(16).fill(7);
const honest: Envelope = {
  mixnet: madeDirectory([]).mixnetId,
  messageId: toHex(messageId),
  exit: ME,
  gateway: identity.peerId,
  from: 'alice@a.example',
  recipients: [{ address: 'bob@b.example' }],
  body: '7BIT',
  smtputf8: false,
  bytes: data.length,
  sha256: toHex(native.sha256(data)),
  expiryMs: NOW_MS + 1000,
};
const gateway = madeNode(1, {
  peerId: identity.peerId,
  roles: ['gateway'],
  domains: ['a.example'],
});
const sister = madeNode(2, { roles: ['gateway'], owner: gateway.owner, domains: ['c.example'] });
const exit = madeNode(9, { roles: ['gateway'], domains: ['b.example'] });
const view: ExitView = {
  primitives: native,
  directory: madeDirectory([gateway, sister, exit]),
  me: ME,
  acceptsDomain: () => false,
  nowMs: NOW_MS,
};

function message(over: Partial<Envelope> = {}): Uint8Array {
  return joinMail(signEnvelope(native, identity, { ...honest, ...over }), data);
}

/** Cut in two, as fragments are. */
function assemble(whole: Uint8Array, over: Partial<ExitView> = {}) {
  const parts = [whole.subarray(0, 40), whole.subarray(40)];
  return assembleMail({ ...view, ...over }, (id) => equalBytes(id, messageId), parts);
}

test('an honest mail comes out as it went in', (t) => {
  t.deepEqual(assemble(message()), {
    kind: 'mail',
    envelope: honest,
    data,
    ours: honest.recipients,
    foreign: [],
  });
});

for (const [what, over] of [
  ['the null sender', { from: '' }],
  ["a domain of the same owner's other gateway", { from: 'alice@C.example' }],
  ['a recipient in capitals', { recipients: [{ address: 'Bob@B.EXAMPLE' }] }],
] as const) {
  test(`${what} is taken`, (t) => {
    t.is(assemble(message(over)).kind, 'mail');
  });
}

const flipped = message().with(message().length - 1, 0);
const unsigned = concat(writeUint(3, 4), new Uint8Array(3), data);

for (const [what, reason, temporary, whole, over] of [
  ['a message without a length', 'mail-malformed', false, new Uint8Array([0, 0]), {}],
  ['a length beyond the end', 'mail-malformed', false, writeUint(99, 4), {}],
  ['an envelope that is none', 'envelope-malformed', false, unsigned, {}],
  [
    'a flipped bit in the signature',
    'envelope-signature',
    false,
    message().with(4, (message()[4] as number) ^ 1),
    {},
  ],
  [
    'fragments under another id',
    'message-id-mismatch',
    false,
    message({ messageId: '08'.repeat(16) }),
    {},
  ],
  ['a mail of another mixnet', 'mixnet-mismatch', false, message({ mixnet: peerIdOf(8) }), {}],
  ['a mail for another exit', 'exit-mismatch', false, message({ exit: peerIdOf(8) }), {}],
  ['a mail after its expiry', 'mail-expired', false, message(), { nowMs: NOW_MS + 1000 }],
  ['a wrong size', 'size-mismatch', false, message({ bytes: data.length + 1 }), {}],
  ['a flipped bit in the data', 'hash-mismatch', false, flipped, {}],
  [
    'a gateway that left the directory',
    'gateway-unknown',
    true,
    message(),
    { directory: madeDirectory([exit, sister]) },
  ],
  [
    'a mix that signs as a gateway',
    'gateway-unknown',
    true,
    message(),
    { directory: madeDirectory([exit, { ...gateway, roles: ['mix'] }]) },
  ],
  [
    'a sender of another provider',
    'sender-domain-foreign',
    true,
    message({ from: 'eve@b.example' }),
    {},
  ],
  [
    'a sender in a subdomain',
    'sender-domain-foreign',
    true,
    message({ from: 'eve@sub.a.example' }),
    {},
  ],
  [
    'a recipient of another provider',
    'recipients-foreign',
    true,
    message({ recipients: [{ address: 'x@a.example' }] }),
    {},
  ],
] as const satisfies readonly (readonly [
  string,
  string,
  boolean,
  Uint8Array,
  Partial<ExitView>,
])[]) {
  test(`${what} is refused ${temporary ? 'for now' : 'for good'}: ${reason}`, (t) => {
    const { envelope, ...refusal } = assemble(whole, over) as Assembled & { kind: 'refused' };
    t.deepEqual(refusal, { kind: 'refused', reason, temporary });
    t.is(envelope === null, /malformed|signature/.test(reason));
  });
}

test('recipients of others are told apart from ours, and policy may make them ours', (t) => {
  const recipients = [{ address: 'bob@b.example' }, { address: 'eve@else.example' }];
  const strict = assemble(message({ recipients }));
  const wide = assemble(message({ recipients }), {
    acceptsDomain: (domain) => domain === 'else.example',
  });
  if (strict.kind !== 'mail' || wide.kind !== 'mail') throw new Error('refused');
  t.deepEqual(strict.ours, [recipients[0]]);
  t.deepEqual(strict.foreign, [recipients[1]]);
  t.deepEqual(wide.ours, recipients);
  t.is(fromHex(wide.envelope.messageId)?.length, 16);
});

test('ten thousand recipients among ten thousand domains once held an exit for two seconds', (t) => {
  const domains = Array.from({ length: 10_000 }, (_, i) => `d${100_000 + i}.example`);
  const recipients = domains.map((_, i) => ({ address: `bob@d${200_000 - i}.example` }));
  const whole = message({ recipients: [...recipients.slice(1), { address: `bob@${domains[0]}` }] });
  const wide = madeDirectory([gateway, sister, { ...exit, domains }]);
  const since = performance.now();
  const mail = assemble(whole, { directory: wide });
  const tookMs = performance.now() - since;
  t.is(mail.kind === 'mail' && mail.ours.length, 1);
  t.true(tookMs < 1000, `${tookMs} ms`);
});
