/** By what a step shows in what a program asks of a controller. */
import { clientStep, type StepOptions } from './client-step.ts';
import type { HttpFrame, Step } from './step.ts';

export { isMessages } from './http-dialogue.ts';

/** Any step of HTTP; the program is who asks. */
export function httpStep(
  role: Step['role'],
  name: string,
  matches: (frame: HttpFrame) => boolean,
  options: StepOptions = {},
): Step {
  return clientStep('http', role, name, matches, options);
}

/** @param path below `/panoramix/`, a pattern */
export function isPath(method: string, path: string): (frame: HttpFrame) => boolean {
  const pattern = new RegExp(`^/panoramix/${path}/?$`);
  return (frame) => frame.method === method && pattern.test(frame.path);
}
