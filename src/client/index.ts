/**
 * The client library, the package's main export: talks to controllers, verifies what they serve, takes
 * part in negotiations, builds packets. Nothing here needs Node; it runs in a browser.
 */
export { agree, type Agreed, type Agreement, type Draft, type Party } from './agree.ts';
export { CarefulClient, readMixnetUrl, type MixnetUrl } from './careful.ts';
export {
  ControllerClient,
  type ControllerClientOptions,
  type Decision,
  type InboxMessage,
} from './controller.ts';
export {
  getDirectory,
  type DirectoryAnswer,
  type DirectoryMemory,
  type DirectoryOptions,
  type Remembered,
} from './directory.ts';
export {
  BatchClient,
  type BatchMessage,
  type BatchMixnet,
  type BatchOptions,
  type BatchResult,
} from './batch-mixnet.ts';
export { RouteClient, type StopResult } from './batch-routes.ts';
export { createToken, proveInvitation, readInvitation, writeInvitation } from './invitation.ts';
export { nextNegotiation, readMeeting, type Meeting, type Statement } from './meeting.ts';
export { verifyBox, verifyEndpoint, type VerifiedEndpoint } from './verify-endpoint.ts';
export { verifyPeer, type LieReason, type Told, type VerifiedPeer } from './verify.ts';
export { createIdentity, identityFromSecret, type Identity } from '../crypto/keys.ts';
export { portable } from '../crypto/portable.ts';
export type { Primitives } from '../crypto/primitives.ts';
export { PanoramixError, type ErrorCode } from '../errors.ts';
export { exitForDomain, type Directory, type DirectoryNode } from '../mixnet/directory.ts';
export { verifyNodes } from '../mixnet/verify-nodes.ts';
