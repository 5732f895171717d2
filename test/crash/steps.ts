/** The table of all steps at which a run kills. */
import { CONTROLLER_STEPS } from './controller-steps.ts';
import { GATEWAY_STEPS } from './gateway-steps.ts';
import { NODE_STEPS } from './node-steps.ts';
import type { Step } from './step.ts';

export const STEPS: readonly Step[] = [...GATEWAY_STEPS, ...NODE_STEPS, ...CONTROLLER_STEPS];
