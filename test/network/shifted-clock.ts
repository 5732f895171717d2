/**
 * Preloaded (`node --import`) into the programs of a mixnet: their clock is off by what the file `clock`
 * beside their configuration file says, in ms, as if it were their machine's. It may be written anew at any
 * time, as an operator sets a clock. Clocks that only run on are not touched, and the system's is not.
 */
import { readFileSync } from 'node:fs';
import { ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';

const LOOK_MS = 50;

const at = process.argv.indexOf('--config');
const configFile = at === -1 ? undefined : process.argv[at + 1];
if (configFile !== undefined) shiftBy(join(dirname(configFile), 'clock'));

function shiftBy(clockFile: string): void {
  let shiftMs = readShift(clockFile);
  setInterval(() => {
    shiftMs = readShift(clockFile);
  }, LOOK_MS).unref();

  const SystemDate = Date;
  const nowMs = (): number => SystemDate.now() + shiftMs;
  globalThis.Date = new Proxy(SystemDate, {
    construct: (target, values: []) =>
      values.length === 0 ? new target(nowMs()) : new target(...values),
    apply: () => new SystemDate(nowMs()).toString(),
    get: (target, name): unknown =>
      name === 'now' ? nowMs : (Reflect.get(target, name) as unknown),
  });

  // Node keeps the text of its Date header for itself, by the system's clock.
  const writeHead = Reflect.get(ServerResponse.prototype, 'writeHead') as Function;
  ServerResponse.prototype.writeHead = function (this: ServerResponse, ...values: unknown[]) {
    if (!this.hasHeader('date')) this.setHeader('date', new Date(nowMs()).toUTCString());
    return Reflect.apply(writeHead, this, values) as ServerResponse;
  };
}

/** 0 where there is no such file: a clock that is right. */
function readShift(clockFile: string): number {
  try {
    return Number(readFileSync(clockFile, 'utf8')) || 0;
  } catch {
    return 0;
  }
}
