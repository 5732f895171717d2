/** What a controller writes to its own Redis before it answers. */
import { isScript, redisStep, touches } from './redis-step.ts';
import type { Step } from './step.ts';

const BOX = /:api:box:/;

export const CONTROLLER_STEPS: readonly Step[] = [
  redisStep('controller', 'a message is stored', (frame) => {
    return isScript(frame) && touches(frame, BOX, /:api:endpoint:/, /:api:seen:/);
  }),
  redisStep('controller', 'released messages are removed', (frame) => {
    return isScript(frame) && touches(frame, BOX, /:api:seen:/) && frame.keys.length === 3;
  }),
  changes('a contribution is recorded', /:api:contribution:/, 'snapshot'),
  changes('a snapshot is recorded', /:api:snapshot:|:api:peer:/, 'snapshot'),
  changes('a directory is recorded', /:api:mirror:/, 'snapshot'),
  redisStep(
    'controller',
    'an endpoint is recorded',
    (frame) => isScript(frame) && touches(frame, /:api:endpoint:/) && !touches(frame, BOX),
    { occasion: 'keys' },
  ),
];

function changes(name: string, key: RegExp, occasion: Step['occasion']): Step {
  return redisStep('controller', name, (frame) => isScript(frame) && touches(frame, key), {
    occasion,
  });
}
