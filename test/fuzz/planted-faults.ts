/** Targets with a fault each that the fuzzer must find: what shows that it can find any. */
import { LINE_MUTATIONS } from './mutate-lines.ts';
import { BYTE_MUTATIONS } from './mutate-bytes.ts';
import { latin1, type OpenTarget, type Target } from './target.ts';

const NEEDLE = Buffer.from('needle');

function planted(
  onInput: (input: Uint8Array) => void,
  dictionary = ['needle'],
): () => Promise<OpenTarget> {
  const target: Target = {
    seeds: [latin1('hay\r\nhay')],
    mutations: [...BYTE_MUTATIONS, ...LINE_MUTATIONS],
    dictionary,
    inputBytesMax: 1_000,
    shortRuns: 5_000,
    run: onInput,
  };
  return () => Promise.resolve(() => target);
}

function hasNeedle(input: Uint8Array): boolean {
  return Buffer.from(input).includes(NEEDLE);
}

/** Nothing but its coverage leads to the last of these branches. */
function isMagic(input: Uint8Array): boolean {
  if (input[0] !== 0x7f) return false;
  if (input[1] !== 0x22) return false;
  if (input[2] !== 0xc4) return false;
  return true;
}

const kept: Uint8Array[] = [];

export const PLANTED: Readonly<Record<string, () => Promise<OpenTarget>>> = {
  'planted-exception': planted((input) => {
    if (hasNeedle(input)) throw new TypeError('pricked');
  }),
  'planted-magic': planted((input) => {
    if (isMagic(input)) throw new TypeError('guessed');
  }, []),
  'planted-hang': planted((input) => {
    while (hasNeedle(input));
  }),
  'planted-slow': planted((input) => {
    const started = process.threadCpuUsage();
    while (hasNeedle(input) && process.threadCpuUsage(started).user < 200_000);
  }),
  'planted-leak': planted(() => {
    kept.push(new Uint8Array(16_384));
  }),
  'planted-late': planted((input) => {
    if (hasNeedle(input)) setImmediate(() => JSON.parse('{'));
  }),
  'planted-change': planted((input) => {
    if (input.length > 3) input[3] = 0x20;
  }),
};
