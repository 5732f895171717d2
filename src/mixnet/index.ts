/**
 * The mixnet, pure: from mail to packets, what a mix does with one, and from packets to mail. Clock,
 * randomness and storage are arguments. README.md has the files in flow order.
 */
export { assembleMail } from './assemble.ts';
export type { Assembled, AssembleReason, ExitView } from './assemble.ts';
export { coverMessage, DESTINATIONS, destinationOf } from './cover.ts';
export type { Destination } from './cover.ts';
export { delayMsMax, drawDelayMs, dueAfterStop } from './delay.ts';
export {
  exitForDomain,
  nodeByAddress,
  nodeByPeer,
  openEndpoint,
  type Directory,
  type DirectoryEndpoint,
  type DirectoryNode,
  type Traffic,
} from './directory.ts';
export { drawBelow, drawOne, drawWeighted, shuffle } from './draw.ts';
export { domainOf, RECIPIENTS_MAX, signEnvelope, verifyEnvelope } from './envelope.ts';
export type { Envelope, EnvelopeReason, Recipient } from './envelope.ts';
export { decodeFragment, encodeFragment, fragmentsOf, join, split } from './fragment.ts';
export type { Fragment } from './fragment.ts';
export { geometryOf } from './geometry.ts';
export type { Geometry } from './geometry.ts';
export { judgeHeader, judgePayload, openBody, openHeader, peelPayload } from './mix.ts';
export type { MixDrop, MixDropReason, MixOutcome, MixView } from './mix.ts';
export type { OpenedHeader, PeeledPayload } from './mix.ts';
export { fragmentMail, joinMail, prepareCover, prepareFragment, splitMail } from './prepare.ts';
export type { PreparedPacket } from './prepare.ts';
export { ReplaySet } from './replay.ts';
export type { CommitVerdict } from './replay.ts';
export { chooseRoute, ownersMissing, sphinxHops } from './route.ts';
export type { RouteChoice, RouteHop, RouteQuery, RouteReason } from './route.ts';
export { advanceTicks, decideTick, drawExit, startTicks } from './ticks.ts';
export type { TickChoice, TickClock } from './ticks.ts';
