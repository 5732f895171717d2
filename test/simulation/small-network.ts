/**
 * A simulated mixnet for tests, small unless told otherwise, and what crossed its wires.
 */
import { portable } from '../../src/crypto/portable.ts';
import type { Traffic } from '../../src/mixnet/directory.ts';
import { geometryOf } from '../../src/mixnet/geometry.ts';
import { madeDirectory, MAIL_PARAMS, type Members } from '../../src/simulation/made-directory.ts';
import { SimulatedNetwork } from '../../src/simulation/network.ts';
import type { NetworkOptions, WireEvent } from '../../src/simulation/network-options.ts';
import { seededStreams } from '../../src/simulation/seeded.ts';
import { createSphinx } from '../../src/sphinx/index.ts';

export const TRAFFIC: Traffic = {
  delayMeanMs: 2000,
  ticksPerSecond: 2,
  loopsPerSecond: 0.5,
  mixesPerRoute: 3,
  expiryMs: 5 * 86_400_000,
};

const sphinx = createSphinx(MAIL_PARAMS, portable);
export const GEOMETRY = geometryOf(sphinx);
export const PACKET_BYTES = sphinx.packetBytes;

export interface SmallOptions extends Partial<NetworkOptions> {
  readonly seed?: number;
  readonly members?: Members;
  readonly traffic?: Partial<Traffic>;
}

/** Two gateways and three mixes, or as told. */
export function smallNetwork(options: SmallOptions = {}): SimulatedNetwork {
  const { seed = 1, members = { providers: 2, mixes: 3 }, traffic, ...rest } = options;
  return new SimulatedNetwork({
    directory: madeDirectory(members, { ...TRAFFIC, ...traffic }),
    geometry: GEOMETRY,
    packetBytes: PACKET_BYTES,
    randomFor: seededStreams(seed),
    ...rest,
  });
}

/** Every packet on every wire within a time, one line each. */
export function wireOf(
  options: SmallOptions,
  forMs: number,
  drive: (network: SimulatedNetwork) => void = () => undefined,
): readonly string[] {
  const lines: string[] = [];
  const onWire = ({ atMs, from, to, bytes }: WireEvent): void => {
    lines.push(`${atMs} ${from} ${to} ${bytes}`);
  };
  const network = smallNetwork({ ...options, onWire });
  drive(network);
  network.runUntil(forMs);
  return lines;
}
