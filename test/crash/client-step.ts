/** The usual step: a program asks another one while mail is on its way, and is held before or after. */
import type { Frame, Step } from './step.ts';

/** How a step is unlike the usual one. */
export type StepOptions = Partial<Pick<Step, 'occasion' | 'moments' | 'isAnsweredBy'>>;

/** A step of whoever is the client of its link. */
export function clientStep<Protocol extends Step['protocol']>(
  protocol: Protocol,
  role: Step['role'],
  name: string,
  matches: (frame: Extract<Frame, { protocol: Protocol }>) => boolean,
  options: StepOptions = {},
): Step {
  return {
    name: `${role}: ${name}`,
    role,
    end: 'client',
    protocol,
    occasion: 'mail',
    moments: ['before', 'after'],
    ...options,
    matches: (frame) => isOf(frame, protocol) && matches(frame),
  };
}

function isOf<Protocol extends Step['protocol']>(
  frame: Frame,
  protocol: Protocol,
): frame is Extract<Frame, { protocol: Protocol }> {
  return frame.protocol === protocol;
}
