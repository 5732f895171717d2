/**
 * Where the owners of a combined peer find each other when no negotiation is left that all of them know
 * (design §8): each names one that he has opened among all owners, and the number of the snapshot to be
 * agreed on there.
 */
import { z } from 'zod';
import { hex64, negotiationId, peerId, timestamp } from './fields.ts';

const place = {
  negotiation_id: negotiationId,
  /** Of the snapshot; higher than any that its owner has taken part in. */
  number: z.int().min(1),
};

/** `data` of `POST /peers/ID/meeting`. */
export const meetingCreate = z.strictObject({ peer_id: peerId, ...place });

/** `data` of each item of `GET /peers/ID/meeting`: the last that an owner has said. */
export const meetingPlace = z.object({ owner: hex64, ...place, time: timestamp });
export type MeetingPlace = z.output<typeof meetingPlace>;
