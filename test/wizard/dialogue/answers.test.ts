import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { Answers, collectSaid } from '../../../src/wizard/dialogue/answers.ts';
import { ConfigFile } from '../../../src/wizard/dialogue/config-file.ts';
import type { Question, Value } from '../../../src/wizard/dialogue/question.ts';
import { QUESTIONS } from '../../../src/wizard/dialogue/questions.ts';
import { SERVER_QUESTIONS } from '../../../src/wizard/dialogue/server-questions.ts';
import { nobody } from '../../../src/wizard/dialogue/talk.ts';

const LETTERS = 'A'.repeat(43);

/** For each question a good answer, what it reads as, and bad answers with what is said of them. */
const CASES: Readonly<
  Record<keyof typeof QUESTIONS, readonly [string, Value, readonly [string, RegExp][]]>
> = {
  CATALOG_URL: [
    'https://mix.example.org',
    'https://mix.example.org/',
    [
      ['mix.example.org', /expected a URL/],
      ['ftp://mix.example.org/', /expected a URL/],
      ['http://mix.example.org/', /plain HTTP to another host/],
      ['https://you@mix.example.org/', /user name/],
    ],
  ],
  tls_ca: ['ca.pem', 'ca.pem', [['', /say something/]]],
  role: ['JOIN', 'join', [['leave', /expected one of create, join/]]],
  purpose: ['batch', 'batch', [['chat', /mail, batch/]]],
  BACKEND: ['SPHINXMIX', 'SPHINXMIX', [['ZEUS', /ZEUS is not built yet/]]],
  BODY_LEN: [
    '1024',
    1024,
    [
      ['1', /from 64/],
      ['1e9', /from 64/],
      ['many', /whole number/],
      ['', /whole number/],
      ['100.5', /whole number/],
    ],
  ],
  GROUP: ['P-224', '713', [['P-256', /X25519, 713/]]],
  HEADER_LEN: ['192', 192, [['-1', /from 64/]]],
  data_dir: [
    'data',
    'data',
    [
      ['  ', /say something/],
      ['a\u0007b', /control/],
    ],
  ],
  action: ['set', 'set', [['steal', /create, set/]]],
  KEY_FILE: ['-', '-', [['k'.repeat(4097), /at most 4096/]]],
  SECRET: ['ab'.repeat(32), 'ab'.repeat(32), [['ab', /64 hex digits/]]],
  PEER_NAME: ['peer1', 'peer1', [['peer one', /1 to 64/]]],
  name: ['our_mix-net', 'our_mix-net', [['n'.repeat(65), /at most 64/]]],
  invitations: [
    '4',
    4,
    [
      ['101', /to 100/],
      ['-1', /from 0/],
    ],
  ],
  JOIN_INVITATION: [
    `${LETTERS}|${LETTERS}`,
    `${LETTERS}|${LETTERS}`,
    [
      [LETTERS, /NEGOTIATION\|TOKEN/],
      [`${LETTERS}|B`, /NEGOTIATION\|TOKEN/],
    ],
  ],
  roles: [
    'mix, gateway',
    ['mix', 'gateway'],
    [
      ['king', /mix, gateway/],
      ['', /mix, gateway/],
    ],
  ],
  domains: [
    'Alpha.example beta.example',
    ['alpha.example', 'beta.example'],
    [['a b..c', /domain/]],
  ],
  weight: ['3', 3, [['0', /from 1/]]],
  controller_url: ['http://127.0.0.1:8000', 'http://127.0.0.1:8000/', [['8000', /expected a URL/]]],
  traffic: ['own', 'own', [['heavy', /usual, own/]]],
  delay_mean_ms: ['0', 0, [['-5', /from 0/]]],
  ticks_per_second: ['0.5', 0.5, [['0', /from 0.001/]]],
  loops_per_second: ['1', 1, [['never', /number/]]],
  mixes_per_route: ['3', 3, [['5', /to 4/]]],
  smtp: [
    '127.0.0.1:10035',
    '127.0.0.1:10035',
    [
      ['10035', /HOST:PORT/],
      ['127.0.0.1:0', /HOST:PORT/],
    ],
  ],
  lmtp: ['[::1]:24', '[::1]:24', [['::1:24', /HOST:PORT/]]],
  reinject: ['localhost:10036', 'localhost:10036', [['localhost', /HOST:PORT/]]],
  deliver: ['10.0.0.1:25', '10.0.0.1:25', [['10.0.0.1:99999', /HOST:PORT/]]],
  hostname: ['mx.example.org', 'mx.example.org', [['mx_!', /host name/]]],
  ENDPOINT_NAME: ['gateway', 'gateway', [['Gateway', /small letters/]]],
  ENDPOINT_TYPE: ['sphinxmix', 'SPHINXMIX', [['ZEUS', /SPHINXMIX_GATEWAY, SPHINXMIX/]]],
  MIN_SIZE: ['3', 3, [['0', /from 1/]]],
  MAX_SIZE: ['10', 10, [['ten', /number/]]],
  EP_DESCRIPTION: ['', '', [['d'.repeat(1025), /at most 1024/]]],
};
const ALL: readonly Question[] = Object.values(QUESTIONS);

test('a node may be both, in the words of the question', (t) => {
  t.deepEqual(QUESTIONS.roles.parse(' Both'), { value: ['mix', 'gateway'] });
});

for (const [name, [good, value, bad]] of Object.entries(CASES)) {
  const question: Question = QUESTIONS[name as keyof typeof QUESTIONS];

  test(`${name} may be answered by a flag or a file, and stands in the configuration then`, async (t) => {
    const folder = folderFor(t);
    const file = join(folder, 'answers.yaml');
    writeFileSync(file, JSON.stringify({ [name]: value }), { mode: 0o600 });
    for (const [flags, path] of [
      [new Map([[name, good]]), undefined],
      [new Map<string, string>(), file],
    ] as const) {
      const config = new ConfigFile(join(folder, `${path ? 'file' : 'flag'}.yaml`), 'test');
      const answers = answersOf(config, collectSaid(ALL, flags, path));
      t.deepEqual(await answers.ask(question), value);
      const written = new ConfigFile(config.path, 'test');
      t.deepEqual(question.key && written.get(question.key), question.key && value);
      if (question.isPrivate) t.false(written.wasThere);
    }
  });

  test(`${name} is refused where it is wrong, with the flag and what is wrong`, async (t) => {
    for (const [text, expected] of bad) {
      const config = new ConfigFile(join(folderFor(t), 'config.yaml'), 'test');
      const answers = answersOf(config, collectSaid(ALL, new Map([[name, text]]), undefined));
      const error = await t.throwsAsync(answers.ask(question), { code: 'config-invalid' });
      t.regex(error?.message ?? '', expected, text);
      t.true(error?.message.includes(`--${question.flag}`), text);
      t.false(new ConfigFile(config.path, 'test').wasThere);
    }
  });

  test(`${name} without an answer names flag and key`, async (t) => {
    const config = new ConfigFile(join(folderFor(t), 'config.yaml'), 'test');
    const error = await t.throwsAsync(answersOf(config, new Map()).ask(question), {
      code: 'config-invalid',
    });
    t.true(error?.message.includes(`--${question.flag}`));
    if (question.key)
      t.true(error?.message.includes(`${question.key.join('.')} in ${config.path}`));
  });
}

test('each default that is shown is an answer that is taken', (t) => {
  for (const question of [...ALL, ...Object.values<Question>(SERVER_QUESTIONS)]) {
    if (question.proposal !== undefined) t.true('value' in question.parse(question.proposal));
  }
});

test('a configuration file that cannot be read or written is named, with what is wrong', async (t) => {
  const blocked = join(folderFor(t), 'file');
  writeFileSync(blocked, '');
  t.throws(() => new ConfigFile(join(blocked, 'config.yaml'), 'test'), {
    code: 'config-invalid',
    message: /the configuration file \S+config\.yaml: ENOTDIR/,
  });
  const folder = join(folderFor(t), 'later');
  const config = new ConfigFile(join(folder, 'config.yaml'), 'test');
  writeFileSync(folder, '');
  await t.throwsAsync(
    answersOf(config, collectSaid(ALL, new Map([['PEER_NAME', 'peer1']]), undefined)).ask(
      QUESTIONS.PEER_NAME,
    ),
    {
      code: 'config-invalid',
      message: /the configuration file \S+config\.yaml: E/,
    },
  );
});

test('names and flags are different for each question of a wizard', (t) => {
  for (const questions of [ALL, Object.values<Question>(SERVER_QUESTIONS)]) {
    for (const what of ['name', 'flag'] as const) {
      const all = questions.map((question) => question[what]).filter((each) => each !== '');
      t.is(new Set(all).size, all.length);
    }
  }
});

test('--yes takes what is proposed, and still asks for what nobody proposes', async (t) => {
  const config = new ConfigFile(join(folderFor(t), 'config.yaml'), 'test');
  const talk = nobody(() => undefined);
  const answers = new Answers({ config, said: new Map(), talk, takesProposals: true });
  t.is(await answers.ask(QUESTIONS.BODY_LEN, '32768'), 32_768);
  await t.throwsAsync(answers.ask(QUESTIONS.PEER_NAME), { message: /--peer-name/ });
});

test('a flag that contradicts the configuration changes nothing unasked', async (t) => {
  const path = join(folderFor(t), 'config.yaml');
  const text = '# ours\nmixnet:\n  body_len: 2048 # as agreed by telephone\n';
  writeFileSync(path, text);
  const said = collectSaid(ALL, new Map([['BODY_LEN', '1024']]), undefined);
  const answers = answersOf(new ConfigFile(path, 'test'), said);
  const error = await t.throwsAsync(answers.ask(QUESTIONS.BODY_LEN));
  t.regex(error?.message ?? '', /--body-len says 1024, .*config.yaml says 2048/);
  t.is(readFileSync(path, 'utf8'), text);
});

test('what somebody has written stays: comments, order and other keys; the mode becomes 0600', async (t) => {
  const path = join(folderFor(t), 'config.yaml');
  writeFileSync(path, '# ours\nlog_level: debug # for now\n\nmixnet:\n  name: old # why not\n');
  const said = collectSaid(ALL, new Map([['CATALOG_URL', 'http://127.0.0.1:1/']]), undefined);
  await answersOf(new ConfigFile(path, 'test'), said).ask(QUESTIONS.CATALOG_URL);
  t.is(
    readFileSync(path, 'utf8'),
    '# ours\nlog_level: debug # for now\n\nmixnet:\n  name: old # why not\n  catalog_url: http://127.0.0.1:1/\n',
  );
  t.is(statSync(path).mode & 0o777, 0o600);
});

test('a file that is no YAML is left alone', (t) => {
  const path = join(folderFor(t), 'config.yaml');
  writeFileSync(path, 'a: [');
  t.throws(() => new ConfigFile(path, 'test'), { code: 'config-invalid' });
  writeFileSync(path, '- a list');
  t.throws(() => new ConfigFile(path, 'test'), { code: 'config-invalid' });
  t.is(readFileSync(path, 'utf8'), '- a list');
});

test('an answers file with an unknown name is refused, and one with an invitation that others may read', (t) => {
  const path = join(folderFor(t), 'answers.yaml');
  writeFileSync(path, 'BODYLEN: 3\n');
  t.throws(() => collectSaid(ALL, new Map(), path), { message: /no question is called BODYLEN/ });
  writeFileSync(path, `JOIN_INVITATION: ${LETTERS}|${LETTERS}\n`, { mode: 0o644 });
  t.throws(() => collectSaid(ALL, new Map(), path), { message: /may be read by others/ });
});

test('a flag comes before an answers file', (t) => {
  const path = join(folderFor(t), 'answers.yaml');
  writeFileSync(path, 'BODY_LEN: 2048\nHEADER_LEN: 192\n');
  const said = collectSaid(ALL, new Map([['BODY_LEN', '1024']]), path);
  t.is(said.get('BODY_LEN')?.text, '1024');
  t.is(said.get('HEADER_LEN')?.text, '192');
});

test('a secret has no flag: who lists processes would read it', (t) => {
  t.is(QUESTIONS.SECRET.flag, '');
});

function answersOf(config: ConfigFile, said: ReturnType<typeof collectSaid>): Answers {
  return new Answers({ config, said, talk: nobody(() => undefined), takesProposals: false });
}

function folderFor(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'panoramix-test-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
