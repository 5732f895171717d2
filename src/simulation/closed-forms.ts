/**
 * What mathematics says beforehand, where it does: beside the simulated figures in a report, and what
 * tests hold the simulation against.
 */

/** P(a sum of `stages` exponential times of one mean is at most `atMs`): Erlang. */
export function erlangCdf(stages: number, meanMs: number, atMs: number): number {
  const ratio = atMs / meanMs;
  let term = 1;
  let sum = 1;
  for (let i = 1; i < stages; i++) {
    term *= ratio / i;
    sum += term;
  }
  return 1 - Math.exp(-ratio) * sum;
}

/**
 * Bits of doubt about which packet leaves a mix of exponential delays where `occupancy` packets are on
 * average (λ/μ): log2(e · λ/μ), for occupancies well above 1 (Danezis 2004, §3).
 */
export function mixEntropyBits(occupancy: number): number {
  return Math.log2(Math.E * occupancy);
}

/**
 * P(all mixes of a way are hostile), mixes of different owners drawn without repetition.
 * @param eligible owners with a mix who are neither end's provider
 * @param hostile those among them who work together
 */
export function hostileWayChance(eligible: number, hostile: number, mixesPerRoute: number): number {
  let chance = 1;
  for (let i = 0; i < mixesPerRoute; i++) chance *= Math.max(0, hostile - i) / (eligible - i);
  return chance;
}

/** P(at least one of `ways` independent ways is such a one). */
export function onceAmong(chance: number, ways: number): number {
  return -Math.expm1(ways * Math.log1p(-chance));
}
