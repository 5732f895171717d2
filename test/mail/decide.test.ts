import test from 'ava';
import {
  decide,
  type DecideInput,
  type DirectoryView,
  type Verdict,
} from '../../src/mail/decide.ts';

const EXIT = 'aa'.repeat(32);

function view(state: DirectoryView['state']): DirectoryView {
  return {
    state,
    serves: (domain) => domain === 'in.example' || domain === 'remembered.example',
    exitOf: (domain) => (domain === 'in.example' ? EXIT : null),
    speaksFor: (sender) => sender.endsWith('@b.example'),
  };
}

const USUAL: DecideInput = {
  sender: 'a@b.example',
  optIn: 'yes',
  headerTruncated: false,
  domains: ['in.example', 'out.example', 'remembered.example', ''],
  policy: { partial: 'split' },
  directory: view('valid'),
};

const MIX: Verdict = { action: 'mix', exit: EXIT };
const OUTSIDE: Verdict = { action: 'pass', reason: 'domain-outside' };
const UNROUTABLE: Verdict = { action: 'defer', reason: 'exit-unroutable' };

function all(verdict: Verdict): Verdict[] {
  return [verdict, verdict, verdict, verdict];
}

const CASES: readonly [change: Partial<DecideInput>, verdicts: readonly Verdict[], why: string][] =
  [
    [{}, [MIX, OUTSIDE, UNROUTABLE, OUTSIDE], 'recipients are split by domain'],
    [{ optIn: 'no' }, all({ action: 'pass', reason: 'not-opted-in' }), 'not opted in passes'],
    [
      { optIn: 'no', directory: view('missing') },
      all({ action: 'pass', reason: 'not-opted-in' }),
      'not opted in passes without a directory too',
    ],
    [
      { optIn: 'no', headerTruncated: true },
      all({ action: 'pass', reason: 'not-opted-in' }),
      'a long header of a mail that did not opt in is none of our business',
    ],
    [
      { sender: 'a@elsewhere.example' },
      [{ action: 'refuse', reason: 'sender-foreign' }, OUTSIDE, UNROUTABLE, OUTSIDE],
      'a sender for whom no exit takes mail from us is refused, never mixed in vain or sent in the clear',
    ],
    [
      { sender: 'a@elsewhere.example', domains: ['out.example'] },
      [OUTSIDE],
      'a foreign sender to the outside passes as ever',
    ],
    [{ sender: '' }, all({ action: 'pass', reason: 'null-sender' }), 'the null sender passes'],
    [
      { sender: '', directory: view('missing') },
      all({ action: 'pass', reason: 'null-sender' }),
      'the null sender passes without a directory too',
    ],
    [
      { sender: '', optIn: 'required', domains: ['in.example', 'out.example'] },
      [MIX, { action: 'refuse', reason: 'required-outside' }],
      'required holds for the null sender',
    ],
    [
      { optIn: 'required' },
      [
        MIX,
        { action: 'refuse', reason: 'required-outside' },
        UNROUTABLE,
        { action: 'refuse', reason: 'required-outside' },
      ],
      'required never leaves in the clear',
    ],
    [
      { directory: view('missing') },
      all({ action: 'defer', reason: 'directory-missing' }),
      'without a directory every opted-in mail waits',
    ],
    [
      { directory: view('expired') },
      all({ action: 'defer', reason: 'directory-expired' }),
      'with an expired directory every opted-in mail waits',
    ],
    [
      { optIn: 'required', directory: view('expired') },
      all({ action: 'defer', reason: 'directory-expired' }),
      'required waits too, and is not refused',
    ],
    [
      { optIn: 'required', directory: view('clock-wrong') },
      all({ action: 'defer', reason: 'clock-wrong' }),
      'while our clock is wrong every opted-in mail waits',
    ],
    [
      { directory: view('equivocated') },
      all({ action: 'defer', reason: 'snapshot-equivocated' }),
      'while owners have signed two directories every opted-in mail waits',
    ],
    [
      { headerTruncated: true },
      all({ action: 'refuse', reason: 'header-too-long' }),
      'an opted-in mail whose header is too long to be cleaned is refused by size',
    ],
    [
      { policy: { partial: 'refuse' } },
      all({ action: 'refuse', reason: 'partial-refused' }),
      'partial: refuse refuses what would be split',
    ],
    [
      { policy: { partial: 'refuse' }, domains: ['remembered.example', 'out.example'] },
      all({ action: 'refuse', reason: 'partial-refused' }).slice(0, 2),
      'partial: refuse counts a domain that waits as inside',
    ],
    [
      { policy: { partial: 'refuse' }, domains: ['in.example', 'in.example'] },
      [MIX, MIX],
      'partial: refuse leaves alone what is all inside',
    ],
    [
      { policy: { partial: 'refuse' }, domains: ['out.example'] },
      [OUTSIDE],
      'partial: refuse leaves alone what is all outside',
    ],
  ];

for (const [change, verdicts, why] of CASES) {
  test(`decide: ${why}`, (t) => {
    t.deepEqual(decide({ ...USUAL, ...change }), verdicts);
  });
}
