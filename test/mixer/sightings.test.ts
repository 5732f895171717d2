import test from 'ava';
import { UNDECIDED } from '../../src/client/agree.ts';
import type { Meeting, Statement } from '../../src/client/meeting.ts';
import type { SignedEntry } from '../../src/mixnet/directory-texts.ts';
import { Sightings } from '../../src/mixer/sightings.ts';
import type { SnapshotGround } from '../../src/mixer/snapshot.ts';

const PATIENCE_MS = 800;
const [A, B, C] = ['a', 'b', 'c'].map((digit) => digit.repeat(64)) as [string, string, string];
const ground = {
  head: { nodes: [A, B, C].map((peer) => ({ peer_id: peer, owner: peer })) },
  terms: { owners: [A, B, C], rule: { m: 2, n: 3 } },
} as unknown as SnapshotGround;

function offers(peers: readonly string[], twoFaced: readonly string[] = []) {
  return { entries: peers.map((peer) => ({ peer_id: peer }) as SignedEntry), twoFaced };
}

/** A composed text of the entries of some. */
function composed(...peers: string[]): Statement {
  const data = { snapshot: { entries: peers.map((peer) => ({ peer_id: peer })) } };
  return { text: peers.join(), accepts: true, body: { data } } as unknown as Statement;
}

function meetingOf(...statements: Statement[]): Meeting {
  return { negotiationId: '', consensus: null, statements };
}

test('a text of all nodes may be signed at once', (t) => {
  const sightings = new Sightings(ground, PATIENCE_MS);
  t.is(sightings.review(composed(A, B, C), offers([]), 0), null);
});

test('a text that leaves out who is away is signed after half of the patience', (t) => {
  const sightings = new Sightings(ground, PATIENCE_MS);
  const text = composed(A, B);
  t.is(sightings.review(text, offers([A]), 5_000), UNDECIDED, 'too few are present');
  sightings.look(meetingOf(text), offers([A, B]), 1_000);
  t.is(sightings.review(text, offers([A, B]), 1_399), UNDECIDED);
  t.is(sightings.review(text, offers([A, B]), 1_400), null);
});

test('a text that came early is not signed where somebody has come meanwhile', (t) => {
  const sightings = new Sightings(ground, PATIENCE_MS);
  const text = composed(A, B);
  sightings.look(meetingOf(text), offers([A, B]), 1_000);
  sightings.look(meetingOf(text), offers([A, B, C]), 1_399);
  t.is(sightings.review(text, offers([A, B, C]), 1_400), 'entry-left-out');
});

test('who comes when the others have waited undoes nothing', (t) => {
  const sightings = new Sightings(ground, PATIENCE_MS);
  const text = composed(A, B);
  sightings.look(meetingOf(), offers([A, B]), 1_000);
  sightings.look(meetingOf(text), offers([A, B]), 1_800);
  sightings.look(meetingOf(text), offers([A, B, C]), 1_900);
  t.is(sightings.review(text, offers([A, B, C]), 1_900), null);
});

/** What comes of a text without C at 1 800, where C was seen at some time before. */
function reviewedWithout(offeredMs: number): ReturnType<Sightings['review']> {
  const sightings = new Sightings(ground, PATIENCE_MS);
  const text = composed(A, B);
  sightings.look(meetingOf(), offers([A, B]), 1_000);
  sightings.look(meetingOf(), offers([A, B, C]), offeredMs);
  sightings.look(meetingOf(text), offers([A, B, C]), 1_800);
  return sightings.review(text, offers([A, B, C]), 1_800);
}

test('who was there long before a text was composed is not left out of it', (t) => {
  t.is(reviewedWithout(1_600), 'entry-left-out');
  t.is(reviewedWithout(1_750), null, 'its composer may have looked before');
});

test('a node that has signed two entries is left out, and the sooner for having been there', (t) => {
  const sightings = new Sightings(ground, PATIENCE_MS);
  const text = composed(A, B);
  sightings.look(meetingOf(), offers([A, B, C]), 1_000);
  sightings.look(meetingOf(text), offers([A, B], [C]), 1_100);
  t.is(sightings.review(text, offers([A, B], [C]), 1_100), null);
});
