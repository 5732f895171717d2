/**
 * A client whose program dies at its n-th call: before the request leaves, or after the controller has
 * done it and before the answer is read. Everything else goes to the real client and controller.
 */
import type { ControllerClient } from '../../src/client/controller.ts';
import { PanoramixError } from '../../src/errors.ts';

/** Counts calls; from the n-th on every one fails, as for a process that is gone. */
export function killedAt(
  client: ControllerClient,
  call: number,
  phase: 'before' | 'after',
): ControllerClient {
  let calls = 0;
  return new Proxy(client, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return async (...given: unknown[]): Promise<unknown> => {
        calls++;
        if (calls > call || (calls === call && phase === 'before')) throw killed();
        const answer: unknown = await Reflect.apply(value, target, given);
        if (calls >= call) throw killed();
        return answer;
      };
    },
  });
}

/** Permanent, so that nothing retries it. */
function killed(): PanoramixError {
  return new PanoramixError('config-invalid', 'killed');
}
