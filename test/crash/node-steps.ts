/** What every node does, a mix or a gateway: packets come in, wait, and leave; keys and directories change. */
import { httpStep, isMessages, isPath } from './http-step.ts';
import { adds, ends, isScript, redisStep, takingStep, touches } from './redis-step.ts';
import type { Step } from './step.ts';

const RECORD = /:record:/;
const TAGS = /:tags:/;
const MIXING = /^mixing$/;

/** Of both kinds: what they send differs in nothing but what comes of it. */
const PACKETS: readonly Step[] = (['mix', 'gateway'] as const).flatMap((role) => [
  httpStep(role, 'its INBOX is listed', isInbox('GET'), {
    moments: ['after'],
    isAnsweredBy: (reply) => reply.includes('"text"'),
  }),
  redisStep(role, 'a replay tag is looked for', (frame) => {
    return frame.command === 'HEXISTS' && touches(frame, TAGS);
  }),
  redisStep(role, 'packets are committed', (frame) => {
    return isScript(frame) && touches(frame, TAGS, RECORD) && !touches(frame, /:message:/);
  }),
  redisStep(role, 'jobs of packets are added', (frame) => adds(frame, MIXING)),
  httpStep(role, 'messages are released', isInbox('DELETE')),
  takingStep(role, "a packet's job is taken", MIXING),
  httpStep(role, 'a packet is posted', ({ method, path }) => {
    return method === 'POST' && isMessages(path);
  }),
  redisStep(role, 'its record is removed', (frame) => {
    return isScript(frame) && frame.keys.length === 1 && touches(frame, RECORD);
  }),
  redisStep(role, "a packet's job ends", (frame) => ends(frame, MIXING)),
  redisStep(role, 'a packet of its own is stored', (frame) => {
    return isScript(frame) && touches(frame, RECORD, /:sent:/, /:sends:/) && !isSettling(frame);
  }),
]);

const KEYS: readonly Step[] = [
  httpStep('node', 'an endpoint is opened', isPath('POST', 'endpoints'), { occasion: 'keys' }),
  httpStep('node', 'an endpoint changes its state', isPath('PATCH', 'endpoints/\\w+'), {
    occasion: 'keys',
  }),
  redisStep(
    'node',
    'tags of an ended key are removed',
    (frame) => frame.command === 'UNLINK' && touches(frame, TAGS),
    { occasion: 'keys' },
  ),
];

const DIRECTORY: readonly Step[] = [
  contributes('it says where it is', String.raw`\"entry\":{`),
  contributes('it says or signs a snapshot', String.raw`\"snapshot\":{`),
  httpStep('node', 'a snapshot is put at the controller', isPath('PATCH', 'peers/\\w+'), {
    occasion: 'snapshot',
  }),
  httpStep(
    'node',
    'the directory is left with its controller',
    isPath('POST', 'peers/\\w+/nodes\\.json'),
    {
      occasion: 'snapshot',
    },
  ),
];

const STARTING: readonly Step[] = (['mix', 'gateway', 'controller'] as const).flatMap((role) => [
  atStart(role, 'it reads the settings of its Redis', ({ command }) => command === 'CONFIG'),
  atStart(role, 'it says that it runs', (frame) => {
    return frame.command === 'SET' && touches(frame, /:running$/);
  }),
]);

const NODE_STARTING: readonly Step[] = (['mix', 'gateway'] as const).flatMap((role) => [
  atStart(role, 'it looks for its storage key', (frame) => {
    return frame.command === 'SET' && touches(frame, /:storage-key$/);
  }),
  atStart(role, 'it lists what waits', (frame) => {
    return frame.command === 'SMEMBERS' && touches(frame, /:record-endpoints$/);
  }),
  httpStep(role, 'it asks for its endpoint', isPath('GET', 'endpoints/\\w+'), {
    occasion: 'start',
  }),
]);

export const NODE_STEPS: readonly Step[] = [
  ...PACKETS,
  ...KEYS,
  ...DIRECTORY,
  ...STARTING,
  ...NODE_STARTING,
];

function isSettling({ keys }: { readonly keys: readonly string[] }): boolean {
  return keys.length === 3;
}

function isInbox(method: string): Parameters<typeof httpStep>[2] {
  return (frame) =>
    frame.method === method && isMessages(frame.path) && frame.query.get('box') === 'INBOX';
}

/** A text that a node contributes; it travels as a string in JSON, so its quotes are escaped. */
function contributes(name: string, part: string): Step {
  const isContribution = isPath('POST', 'contributions');
  return httpStep('node', name, (frame) => isContribution(frame) && frame.body.includes(part), {
    occasion: 'snapshot',
  });
}

function atStart(role: Step['role'], name: string, matches: Parameters<typeof redisStep>[2]): Step {
  return redisStep(role, name, matches, { occasion: 'start' });
}
