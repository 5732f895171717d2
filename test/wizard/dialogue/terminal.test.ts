/** The wizards in real terminals: left, killed and gone on with; what is shown, and what is not. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { identityFromSecret } from '../../../src/crypto/keys.ts';
import { native } from '../../../src/crypto/native.ts';
import { freePorts } from '../../../src/cli/demo/processes.ts';
import { privateController, sharedStore } from '../../controller/private-controller.ts';
import { Terminals, whyNoTerminals, type Screen } from '../terminal.ts';

const CLI = resolve(import.meta.dirname, '../../../src/cli');
/** Nobody answers there, and that at once: an owner is only warned about his own domains. */
const NO_DNS = ['127.0.0.1:9'];
const SECRET = '5e'.repeat(32);
const reason = whyNoTerminals();
if (reason !== null) console.warn(`Tests with terminals are skipped: ${reason}`);
const inTerminals = reason === null ? test.serial : test.serial.skip;
const store = sharedStore(test);

inTerminals('a dialogue that is killed goes on with the question that was open', async (t) => {
  const { url } = await privateController(t, store());
  const folder = folderFor(t);
  const terminals = await terminalsFor(t);
  const steps: ((screen: Screen) => Promise<void>)[] = [
    (screen) => screen.answer(/Set CATALOG_URL/, url),
    (screen) => screen.choose(/Choose 'create' or 'join'/, 'create'),
    (screen) => screen.choose(/What is the mix-net for/, 'mail'),
    (screen) => screen.choose(/Select backend/, 'SPHINXMIX'),
    (screen) => screen.answer(/Set BODY_LEN/, '4096'),
    (screen) => screen.choose(/Set GROUP/, 'X25519'),
    (screen) => screen.answer(/Set HEADER_LEN/, ''),
    (screen) => screen.answer(/folder for keys/, ''),
    (screen) => screen.choose(/No key available/, 'create'),
    (screen) => screen.answer(/register as peer/, 'peer1'),
    (screen) => screen.answer(/Choose mix-net peer name/, 'our_mix-net'),
    (screen) => screen.answer(/number of invitations/, '1'),
    (screen) => screen.answer(/your node to be/, 'mix gateway'),
    (screen) => screen.answer(/Which mail domains/, 'alpha.example'),
    (screen) => screen.answer(/weight of your gateway/, ''),
    (screen) => screen.answer(/own controller/, ''),
    (screen) => screen.answer(/SMTP from Postfix/, ''),
  ];
  const keys = new Set<string>();
  const killedAfter = new Set([0, 1, 4, 8, 9, 12, steps.length - 1]);
  let screen: Screen | null = null;
  for (const [number, step] of steps.entries()) {
    screen ??= await terminals.open(`run${number}`, wizard(folder));
    await step(screen);
    if (number >= 8) keys.add(readFileSync(join(folder, 'node/identity.key'), 'utf8'));
    if (!killedAfter.has(number)) continue;
    // The answer is on disk before the next question is asked.
    await screen.sees(/◆/);
    process.kill(await screen.pid(), 'SIGKILL');
    t.is(await screen.ended(), 128 + 9);
    screen = null;
  }
  t.is(keys.size, 1);
  const config = readFileSync(join(folder, 'wizard.yaml'), 'utf8');
  t.regex(config, /body_len: 4096/);
  t.regex(config, /domains: \[ alpha.example \]/);
  t.false(config.includes([...keys][0]?.trim() ?? ''));
});

inTerminals('Ctrl-C leaves, says how to go on, and gives the terminal back', async (t) => {
  const { url } = await privateController(t, store());
  const terminals = await terminalsFor(t);
  const folder = folderFor(t);
  const screen = await terminals.open('left', wizard(folder));
  await screen.answer(/Set CATALOG_URL/, url);
  await screen.sees(/◆ {2}Choose 'create'/);
  await screen.press('C-c');
  t.is(await screen.ended(), 130);
  t.regex(
    await screen.text(),
    /Left\. To go on from here: PANORAMIX_CONFIG=\S+wizard\.yaml panoramix wizard/,
  );
});

inTerminals(
  'Ctrl-C while it waits for others leaves as well, and the next run shows the same invitations',
  async (t) => {
    const { url } = await privateController(t, store());
    const terminals = await terminalsFor(t);
    const folder = folderFor(t);
    writeCoordinator(folder, url);
    const first = await terminals.open('first', wizard(folder));
    await first.choose(/No key available/, 'create');
    const [, invitation] = await first.sees(/^ {2}(\S{43}\|\S{43})$/m);
    await first.sees(/0 of 1 invited peers have joined|Invitations pending/);
    await first.press('C-c');
    t.is(await first.ended(), 130);
    const second = await terminals.open('second', wizard(folder));
    const [, again] = await second.sees(/^ {2}(\S{43}\|\S{43})$/m);
    t.is(again, invitation);
  },
);

inTerminals(
  'a wrong answer is refused with what is wrong, and the question stays open',
  async (t) => {
    const { url } = await privateController(t, store());
    const terminals = await terminalsFor(t);
    const screen = await terminals.open('wrong', wizard(folderFor(t)));
    await screen.answer(/Set CATALOG_URL/, 'http://mix.example.org/');
    await screen.sees(/plain HTTP to another host/);
    await screen.press('C-u');
    await screen.type('http://127.0.0.1:1/');
    await screen.press('Enter');
    await screen.sees(/no controller answers at/);
    await screen.choose(/What now/, 'other');
    await screen.answer(/Set CATALOG_URL/, url);
    await screen.sees(/◆ {2}Choose 'create'/);
    t.pass();
  },
);

inTerminals(
  'a key that is typed is not shown, is written once, and only who asks sees a secret',
  async (t) => {
    const { url } = await privateController(t, store());
    const terminals = await terminalsFor(t);
    const folder = folderFor(t);
    writeCoordinator(folder, url);
    const screen = await terminals.open('typed', wizard(folder));
    await screen.choose(/No key available/, 'set');
    await screen.answer(/Read the key from which file/, '');
    await screen.answer(/Set SECRET/, SECRET);
    const { peerId } = identityFromSecret(native, Buffer.from(SECRET, 'hex'));
    await screen.sees(new RegExp(`Registered peer with PEER_ID: ${peerId}`));
    t.false((await screen.text()).includes('5e5e'));
    const path = join(folder, 'node/identity.key');
    t.is(readFileSync(path, 'utf8'), `${SECRET}\n`);
    t.is(statSync(path).mode & 0o777, 0o600);
    for (const name of readdirSync(folder).filter((each) => each.endsWith('.yaml'))) {
      t.false(readFileSync(join(folder, name), 'utf8').includes(SECRET));
    }

    const other = folderFor(t);
    writeCoordinator(other, url);
    const shown = await terminals.open('shown', [...wizard(other), '--show-secret']);
    await shown.choose(/No key available/, 'create');
    await shown.sees(/'SECRET': '[0-9a-f]{64}'/);
  },
);

inTerminals('with NO_COLOR nothing is coloured, without it something is', async (t) => {
  const terminals = await terminalsFor(t);
  for (const [name, env] of [
    ['grey', { NO_COLOR: '1' }],
    ['coloured', { FORCE_COLOR: '' }],
  ] as const) {
    const screen = await terminals.open(name, wizard(folderFor(t)), { env });
    await screen.sees(/◆ {2}Set CATALOG_URL/);
    const raw = await terminals.run('capture-pane', '-p', '-e', '-t', name);
    // Colours of text are 30 to 37 and 90 to 97; the cursor is shown by inversion.
    // eslint-disable-next-line no-control-regex
    t.is(/\u001b\[(\d+;)*(3[0-7]|9[0-7])m/.test(raw), name === 'coloured', name);
  }
});

inTerminals(
  'the server wizard writes what it is told, keeps it, checks it and starts the controller',
  async (t) => {
    const terminals = await terminalsFor(t);
    const folder = folderFor(t);
    const [port = 0] = await freePorts(1);
    const url = `http://127.0.0.1:${port}/`;
    const command = [process.execPath, join(CLI, 'bin-server-wizard.js')];
    const config = join(folder, 'panserver.yaml');
    const env = { PANORAMIX_CONFIG: config };
    const screen = await terminals.open('server', command, { env });
    await screen.answer(/Set CATALOG_URL/, url);
    await screen.answer(/shall the controller listen/, '');
    await screen.choose(/What are mix-nets here for/, 'batch');
    await screen.choose(/Select backend/, 'SPHINXMIX');
    await screen.answer(/Set BODY_LEN \(default: '1024'\)/, '');
    await screen.choose(/Set GROUP \(default: '713'\)/, '713');
    await screen.answer(/Set HEADER_LEN \(default: '192'\)/, '256');
    await screen.answer(/Name this controller/, '');
    await screen.answer(/folder for the controller/, '');
    await screen.answer(/state file of your node/, '');
    await screen.sees(/127\.0\.0\.1:\d+ is free, and http\S+ leads there/);
    await screen.sees(new RegExp(`PANORAMIX_CONFIG=${config} panoramix controller`));
    await screen.choose(/Start the controller now/, 'yes');
    await screen.sees(/Controller answers/);
    const wizards = await terminals.open('proposed', wizard(folder));
    await wizards.answer(/Set CATALOG_URL/, url);
    await wizards.choose(/Choose 'create'/, 'create');
    await wizards.choose(/What is the mix-net for\? \(default: 'batch'\)/, 'batch');
    await wizards.choose(/Select backend/, 'SPHINXMIX');
    await wizards.answer(/Set BODY_LEN/, '');
    await wizards.choose(/Set GROUP/, '713');
    await wizards.sees(/Set HEADER_LEN \(default: '256'\)/);

    const before = readFileSync(config, 'utf8');
    t.is(statSync(config).mode & 0o777, 0o600);
    const busy = await terminals.open('busy', command, { env });
    await busy.choose(/is complete/, 'keep');
    await busy.sees(/cannot be listened on: .*EADDRINUSE/);
    await busy.choose(/What now\?/, 'again');
    await busy.sees(/cannot be listened on: [\s\S]*cannot be listened on: /);
    t.is(readFileSync(config, 'utf8'), before);
    // https would want a certificate; whoever thinks better of it is not asked for one again.
    await busy.choose(/What now\?/, 'change');
    await busy.answer(/Set CATALOG_URL/, 'https://127.0.0.1:18443/');
    await busy.choose(/'files' or 'proxy'/, 'files');
    await busy.answer(/file of the certificate\n/, 'nowhere.pem');
    await busy.answer(/certificate's key/, 'nowhere.key');
    await busy.answer(/shall the controller listen/, '');
    await busy.choose(/What are mix-nets here for/, 'batch');
    await busy.choose(/Select backend/, 'SPHINXMIX');
    await busy.answer(/Set BODY_LEN/, '');
    await busy.choose(/Set GROUP/, '713');
    await busy.answer(/Set HEADER_LEN/, '');
    await busy.answer(/Name this controller/, '');
    await busy.answer(/folder for the controller/, '');
    await busy.answer(/state file of your node/, '');
    await busy.sees(/▲ {2}\S+nowhere\.key cannot be read: ENOENT/);
    await busy.choose(/What now\?/, 'change');
    const [free = 0] = await freePorts(1);
    await busy.answer(/Set CATALOG_URL/, `http://127.0.0.1:${free}/`);
    await busy.answer(/shall the controller listen/, `127.0.0.1:${free}`);
    // The packets of another purpose are no defaults.
    await busy.choose(/What are mix-nets here for/, 'mail');
    await busy.choose(/Select backend/, 'SPHINXMIX');
    await busy.answer(/Set BODY_LEN \(default: '32768'\)/, '');
    await busy.choose(/Set GROUP \(default: 'X25519'\)/, 'X25519');
    await busy.answer(/Set HEADER_LEN \(default: '320'\)/, '');
    await busy.answer(/Name this controller/, '');
    await busy.answer(/folder for the controller/, '');
    await busy.answer(/state file of your node/, '');
    await busy.sees(/is free, and http\S+ leads there/);
    await busy.press('C-c');
    await screen.press('C-c');
    t.is(await screen.ended(), 0);
  },
);

inTerminals(
  'a later run shows the mixnet, takes a pause, and changes what the owners agree on',
  async (t) => {
    const { url } = await privateController(t, store());
    const terminals = await terminalsFor(t);
    const folder = folderFor(t);
    writeCoordinator(folder, url, {
      invitations: 0,
      roles: ['gateway'],
      domains: ['a.example'],
      dns_servers: NO_DNS,
    });
    const founding = await terminals.open('founding', [...wizard(folder), '--yes']);
    t.is(await founding.ended(), 0);
    const screen = await terminals.open('later', wizard(folder));
    await screen.sees(/Mix-net [0-9a-f]{64}, 1 nodes/);
    await screen.choose(/What now/, 'pause');
    await screen.sees(/The node pauses/);
    const operator = readdirSync(join(folder, 'node')).find((name) => name.includes('operator'));
    t.regex(readFileSync(join(folder, 'node', operator ?? ''), 'utf8'), /"paused": true/);
    await screen.choose(/What now/, 'resume');
    await screen.sees(/takes routes again/);
    await screen.choose(/What now/, 'add domain');
    await screen.answer(/Which mail domains/, 'b.example');
    await screen.sees(/b\.example/);
    await screen.choose(/Propose it to the others/, 'yes');
    await screen.sees(/The owners have agreed: it is in the log/);
    await screen.choose(/What now/, 'run');
    await screen.choose(/Start the gateway now/, 'no');
    t.is(await screen.ended(), 0);
  },
);

/** A coordinator whose file says all but the key. */
function writeCoordinator(folder: string, url: string, more: object = {}): void {
  const config = {
    name: 'peer1',
    data_dir: 'node',
    mixnet: {
      catalog_url: url,
      action: 'create',
      purpose: 'mail',
      backend: 'SPHINXMIX',
      body_len: 4096,
      group: 'X25519',
      header_len: 320,
      name: 'our_mix-net',
      invitations: 1,
      roles: ['mix'],
      traffic: {
        delay_mean_ms: 1,
        ticks_per_second: 1,
        loops_per_second: 1,
        mixes_per_route: 1,
      },
      ...more,
    },
    node: { controller_url: url },
  };
  writeFileSync(join(folder, 'wizard.yaml'), JSON.stringify(config), { mode: 0o600 });
}

function wizard(folder: string): string[] {
  return [process.execPath, join(CLI, 'bin-wizard.js'), '--config', join(folder, 'wizard.yaml')];
}

async function terminalsFor(t: ExecutionContext): Promise<Terminals> {
  const terminals = await Terminals.start();
  t.teardown(() => terminals.stop());
  return terminals;
}

function folderFor(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
