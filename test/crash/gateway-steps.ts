/** What a gateway alone does: mail in until its exit has it, mail out until its mail server has it, and reports. */
import { adds, ends, isScript, redisStep, takingStep, touches } from './redis-step.ts';
import type { Frame, RedisFrame, Step } from './step.ts';

const MAIL_SEEN = /:mail-seen:/;
const MAIL = /:mail:[0-9a-f]{32}$/;
const OWN_RECORDS = /:records:outbound-/;
const FIRST = /^outbound-(?!.*-again$)/;
const AGAIN = /^outbound-.*-again$/;
/** EVALSHA, the hash, the number of keys. */
const SCRIPT_WORDS = 3;
const PROGRESS = /:delivery:[0-9a-f]{32}$/;

const ENTRY: readonly Step[] = [
  smtpStep('server', 'a mail is handed over', ['lmtp', 'smtp']),
  redisStep(
    'gateway',
    'a part of a large mail is stored',
    (frame) => isScript(frame) && touches(frame, MAIL_SEEN) && frame.keys.length === 2,
    { occasion: 'large mail' },
  ),
  redisStep('gateway', 'a mail is stored', (frame) => {
    return isScript(frame) && touches(frame, MAIL_SEEN) && frame.keys.length > 2;
  }),
  redisStep('gateway', "a mail's job is added", (frame) => adds(frame, /^mail$/)),
  takingStep('gateway', "a mail's job is taken", /^mail$/),
  redisStep('gateway', 'a fragment is stored', isFragment),
  redisStep('gateway', 'one more fragment of a mail is stored', (frame) => {
    const [last = ''] = frame.previousKeys;
    const isNext =
      frame.previousKeys.some((key) => OWN_RECORDS.test(key)) && last !== frame.keys[0];
    return isFragment(frame) && isNext;
  }),
  redisStep('gateway', 'fragments are queued', (frame) => adds(frame, FIRST)),
  redisStep('gateway', 'a prepared mail is removed', (frame) => {
    return frame.command === 'EXEC' && touches(frame, MAIL, /:mails$/);
  }),
  redisStep('gateway', "a mail's job ends", (frame) => ends(frame, /^mail$/)),
  takingStep('gateway', 'a fragment is taken for a tick', FIRST),
  redisStep('gateway', 'a fragment that was sent waits for its ack', (frame) => adds(frame, AGAIN)),
  redisStep('gateway', 'its first job ends', (frame) => ends(frame, FIRST)),
  redisStep('gateway', 'an ack settles its fragment', (frame) => {
    const { keys } = frame;
    return isScript(frame) && keys.length === 3 && touches(frame, /:record:/, /:sent:/, /:sends:/);
  }),
  redisStep('gateway', "the settled fragment's job is removed", (frame) => {
    return frame.script === 'removeJob' && frame.keys.some((key) => /:outbound-/.test(key));
  }),
  redisStep('gateway', "an ack's tag is committed", (frame) => {
    return isScript(frame) && frame.keys.length === 2 && touches(frame, /:tags:/);
  }),
  redisStep('gateway', 'what its sender might be told is removed', (frame) => {
    return frame.command === 'EXEC' && touches(frame, /:notice:/, /:notices$/);
  }),
];

const EXIT: readonly Step[] = [
  redisStep('gateway', 'a fragment is committed with its ack', (frame) => {
    return isScript(frame) && touches(frame, /:tags:/, /:message:/, /:record:/);
  }),
  redisStep('gateway', 'a delivery is queued', (frame) => adds(frame, /^delivery$/)),
  takingStep('gateway', 'a delivery is taken', /^delivery$/),
  redisStep('gateway', 'the return address of a mail is remembered', (frame) => {
    return isScript(frame) && touches(frame, /:returns$/, /:returns:/);
  }),
  smtpStep('client', 'a delivery begins', ['exit'], 'MAIL'),
  smtpStep('client', 'a mail is delivered', ['exit']),
  redisStep('gateway', 'what became of a delivery is recorded', (frame) => {
    return frame.command === 'EXEC' && frame.words.includes('HSET') && touches(frame, PROGRESS);
  }),
  redisStep('gateway', 'a delivered mail is removed', (frame) => {
    return (
      isScript(frame) && touches(frame, /:message:/, /:delivered:/) && !touches(frame, /:tags:/)
    );
  }),
  redisStep('gateway', 'the record of a delivery is removed', (frame) => {
    return frame.command === 'DEL' && touches(frame, PROGRESS);
  }),
  redisStep('gateway', "a delivery's job ends", (frame) => ends(frame, /^delivery$/)),
];

const REPORTS: readonly Step[] = [
  redisStep('gateway', 'a report is kept', (frame) => isReport(frame) && !isSettling(frame), {
    occasion: 'failing mail',
  }),
  redisStep('gateway', 'a report is settled', (frame) => isReport(frame) && isSettling(frame), {
    occasion: 'failing mail',
  }),
  smtpStep('server', 'a bounce is handed over', ['returns'], '.', 'bouncing mail'),
];

const PASSING: readonly Step[] = [
  smtpStep('client', 'a mail is handed back', ['reinject'], '.', 'passing mail'),
  redisStep(
    'gateway',
    'that a mail has passed is recorded',
    (frame) => frame.command === 'SET' && touches(frame, /:passed:/),
    { occasion: 'passing mail' },
  ),
];

const STARTING: readonly Step[] = [
  redisStep(
    'gateway',
    'it looks for mail without a job',
    (frame) => frame.command === 'SMEMBERS' && touches(frame, /:mails$/),
    { occasion: 'start' },
  ),
];

export const GATEWAY_STEPS: readonly Step[] = [
  ...ENTRY,
  ...EXIT,
  ...REPORTS,
  ...PASSING,
  ...STARTING,
];

/** @param end the gateway's */
function smtpStep(
  end: Step['end'],
  name: string,
  services: NonNullable<Step['services']>,
  command = '.',
  occasion: Step['occasion'] = 'mail',
): Step {
  return {
    name: `gateway: ${name}`,
    role: 'gateway',
    end,
    protocol: 'smtp',
    services,
    occasion,
    moments: ['before', 'after'],
    matches: (frame: Frame) => frame.protocol === 'smtp' && frame.command === command,
  };
}

function isFragment(frame: RedisFrame): boolean {
  return isScript(frame) && touches(frame, /:record:/, OWN_RECORDS);
}

function isReport(frame: RedisFrame): boolean {
  return isScript(frame) && touches(frame, /:reported:/, /:report:/, /:reports$/);
}

/** To settle a report its name and a time are given, to keep it also what is claimed as told. */
function isSettling({ words, keys }: RedisFrame): boolean {
  return words.length - SCRIPT_WORDS - keys.length === 2;
}
