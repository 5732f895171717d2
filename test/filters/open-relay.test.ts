/**
 * Every way by which mail out of the mixnet, or a bounce, might leave for somebody else's server: a real
 * Postfix that knows a route there, and a trap at its end.
 */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server } from 'node:net';
import test from 'ava';
import { toHex } from '../../src/bytes.ts';
import { native } from '../../src/crypto/native.ts';
import { silentLog } from '../../src/log.ts';
import type { ArrivedMail } from '../../src/mail/envelope.ts';
import { returnAddress } from '../../src/mail/return-address.ts';
import { createExit } from '../../filters/exit.ts';
import { ExitPolicy } from '../../filters/exit-policy.ts';
import { listen, type Listening } from '../../filters/listen.ts';
import { createReturns } from '../../filters/returns.ts';
import { Submitter } from '../../filters/submit.ts';
import { dialogue, transaction } from '../postfix/dialogue.ts';
import { mail } from '../postfix/messages.ts';
import { choosePorts } from '../postfix/ports.ts';
import { beforePostfixTests, postfixTest } from '../postfix/postfix-test.ts';
import { startPostfix, type PrivatePostfix } from '../postfix/private-postfix.ts';

let postfix: PrivatePostfix;
let trap: Server;
let doors: Listening;
let contacts = 0;
let bounces = 0;
const key = new Uint8Array(32).fill(3);

beforePostfixTests(async () => {
  trap = createServer((socket) => {
    contacts++;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(trap, 'listening');
  const { port } = trap.address() as AddressInfo;
  const ports = await choosePorts();
  doors = await listen({
    lmtp: null,
    smtp: null,
    returns: {
      address: { host: '127.0.0.1', port: ports.returns },
      receive: createReturns({
        bounced: async () => {
          bounces++;
          return await Promise.resolve('return-unknown');
        },
        returnKey: key,
        primitives: native,
        log: silentLog,
      }),
    },
    hostname: 'own.example',
    messageBytesMax: 1_000_000,
    recipientsMax: 10,
    receive: async () => await Promise.resolve([]),
    log: silentLog,
  });
  postfix = await startPostfix({
    name: 'own',
    domains: { 'own.example': ['bob'] },
    ports,
    routes: { 'victim.example': port },
  });
});

test.after.always(async () => {
  await postfix?.stop();
  await doors?.stop();
  trap?.close();
});

/** Ways to write "somebody at victim.example" that some mail server has followed once. */
const ADDRESSES: readonly string[] = [
  'eve@victim.example',
  'eve%victim.example@own.example',
  '@own.example:eve@victim.example',
  '"eve@victim.example"@own.example',
  'victim.example!eve@own.example',
  'eve@victim.example@own.example',
  'eve@victim.example.@own.example',
  'own.example!eve@victim.example',
  'eve@[127.0.0.1]',
  'bob@own.example,eve@victim.example',
];

postfixTest(
  'the service that delivers takes nothing for another domain, however it is written',
  async (t) => {
    for (const address of ADDRESSES) {
      for (const sender of ['', 'eve@victim.example', 'bob@own.example']) {
        const answers = await dialogue(
          postfix.ports.exit,
          transaction(sender, [address], `${mail()}.\r\n`),
        );
        t.notRegex(answers[3] ?? '', /^2/, `${sender} to ${address}`);
      }
    }
    await checkNothingLeft(t);
  },
);

postfixTest(
  'an exit takes nothing for another domain out of the mixnet, whoever signed it',
  async (t) => {
    const submitter = new Submitter({
      server: { host: '127.0.0.1', port: postfix.ports.exit },
      hostname: 'own.example',
    });
    t.teardown(async () => await submitter.close());
    const data = Buffer.from(mail());
    const arrived = (address: string): ArrivedMail => ({
      messageId: toHex(native.random(16)),
      from: 'ada@alpha.example',
      recipients: [{ address }],
      body: '8BITMIME',
      smtputf8: false,
      data,
      sha256: toHex(native.sha256(data)),
    });
    const about = {
      submitter,
      sender: 'return',
      returnDomain: 'own.example',
      returnKey: key,
    } as const;
    const deliver = createExit({
      ...about,
      policy: policyWith([]),
      primitives: native,
      log: silentLog,
    });
    for (const address of ADDRESSES) {
      const { accepted, refused } = await deliver(arrived(address));
      t.deepEqual(accepted, [], address);
      t.true(refused[0]?.permanent, address);
    }
    // A wider policy of ours is not one of Postfix: it must say so, too, before anything leaves.
    const wider = createExit({
      ...about,
      policy: policyWith(['victim.example']),
      primitives: native,
      log: silentLog,
    });
    t.deepEqual((await wider(arrived('eve@victim.example'))).accepted, []);
    t.deepEqual((await deliver(arrived('bob@own.example'))).accepted, ['bob@own.example']);
    await postfix.waitForMail('bob@own.example');
    await checkNothingLeft(t);
  },
);

postfixTest('the door for bounces passes nothing on, whatever comes to it', async (t) => {
  const { port } = doors.returns ?? { port: 0 };
  const own = returnAddress(native, key, '00'.repeat(16), 'own.example');
  const forged = returnAddress(native, new Uint8Array(32), '00'.repeat(16), 'own.example');
  for (const [sender, address] of [
    ['', 'eve@victim.example'],
    ['bob@own.example', 'eve@victim.example'],
    ['bob@own.example', own],
    ['', forged],
    ['', own.replace('own.example', 'victim.example')],
  ] as const) {
    const steps = transaction(sender, [address], `${mail()}.\r\n`);
    steps[0] = 'LHLO postfix.example\r\n';
    const answers = await dialogue(port, steps);
    t.regex(answers[5] ?? '', /^550 |^250 2\.0\.0 Dropped: /, `${sender} to ${address}`);
  }
  t.is(bounces, 0);
  await checkNothingLeft(t);
});

postfixTest('the trap is one: mail that a user sends there ends in it', async (t) => {
  await postfix.submit({ from: 'bob@own.example', to: ['eve@victim.example'], message: mail() });
  await postfix.waitForQueue((queue) => queue[0]?.queue_name === 'deferred');
  t.is(contacts, 1);
});

/** The own domain, and what an operator adds. */
function policyWith(domains: readonly string[]): ExitPolicy {
  return new ExitPolicy({
    owns: (domain) => domain === 'own.example',
    wider: { domains, recipientsPerHour: 100, messageBytesMax: 1_000_000 },
    optedOut: null,
    now: Date.now,
  });
}

async function checkNothingLeft(t: {
  is: (actual: number, expected: number) => unknown;
}): Promise<void> {
  await postfix.waitForQueue((queue) => queue.length === 0);
  t.is(contacts, 0);
}
