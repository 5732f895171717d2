/** Each field of each request in turn: of the wrong type, missing, beside one too many, far too large. */
import test from 'ava';
import { canonicalText } from '../../../src/api/canonical.ts';
import type { RequestBody } from '../../../src/api/signed.ts';
import type { ErrorCode } from '../../../src/errors.ts';
import { privateController, sharedStore } from '../private-controller.ts';
import { assertOpen, assertRefused, type Door, knock, openDoors, signedAt } from './doors.ts';

const store = sharedStore(test);

type Path = readonly (string | number)[];

/** Fields that may be left out, and what the door says then: without a consensus on it, that. */
const OPTIONAL: Readonly<Record<string, ErrorCode | null>> = {
  'peer.key_type_params': 'consensus-mismatch',
  'peer.owners': 'consensus-mismatch',
  'endpoint.public': 'consensus-mismatch',
  'endpoint.senders': 'consensus-mismatch',
  'message.serial': null,
};

const wrongTypes: readonly unknown[] = [
  null,
  true,
  -7,
  0.5,
  9e15,
  'x\u0000y',
  '\u202e',
  [],
  [[]],
  [null],
  {},
  { length: 1 },
  'toString',
  'x'.repeat(100_000),
];

test('a field of the wrong type is refused, whichever it is', async (t) => {
  const bed = await privateController(t, store());
  const doors = await openDoors(bed);
  let tried = 0;
  for (const door of doors) {
    for (const path of pathsOf(door.body.data)) {
      const was = at(door.body.data, path);
      for (const wrong of wrongTypes) {
        if (isTaken(door, path, was, wrong)) continue;
        const data = replaced(door.body.data, path, wrong);
        const answer = await sendData(bed, door, data);
        const what = `${door.name}.${path.join('.')} = ${JSON.stringify(wrong).slice(0, 40)}`;
        assertRefused(t, bed, answer, { reason: 'request-malformed', what });
        tried++;
      }
    }
  }
  t.true(tried > 300, `${tried} were tried`);
  await assertOpen(t, bed, doors);
});

test('a field that is missing is refused, where it may not be', async (t) => {
  const bed = await privateController(t, store());
  const doors = await openDoors(bed);
  for (const door of doors) {
    for (const path of pathsOf(door.body.data)) {
      if (typeof path.at(-1) === 'number') continue;
      const name = `${door.name}.${path.join('.')}`;
      const reason = name in OPTIONAL ? OPTIONAL[name] : 'request-malformed';
      // A message without its serial is another message, and taken.
      if (reason === null || reason === undefined) continue;
      const answer = await sendData(bed, door, replaced(door.body.data, path, undefined));
      assertRefused(t, bed, answer, { reason, what: name });
    }
  }
  await assertOpen(t, bed, doors);
});

test('a field too many is refused, at every depth that the controller reads', async (t) => {
  const bed = await privateController(t, store());
  const doors = await openDoors(bed);
  for (const door of doors) {
    for (const extra of ['id', 'owner', 'constructor', 'toJSON', '', '\u0000']) {
      const answer = await sendData(bed, door, { ...door.body.data, [extra]: 1 });
      const what = `${door.name} with ${JSON.stringify(extra)}`;
      assertRefused(t, bed, answer, { reason: 'request-malformed', what });
    }
  }
  await assertOpen(t, bed, doors);
});

test('data that is no object is refused', async (t) => {
  const bed = await privateController(t, store());
  const doors = await openDoors(bed);
  for (const door of doors) {
    // Messages may come as a list; within it they are no lists.
    const { data: own } = door.body;
    const lists = door.name === 'message' ? [[[own]], [own, 7]] : [[own]];
    for (const data of [null, true, 7, '', 'x', [], [[]], ...lists]) {
      const answer = await sendData(bed, door, data);
      const what = `${door.name} with ${JSON.stringify(data).slice(0, 20)}`;
      assertRefused(t, bed, answer, { reason: 'request-malformed', what });
    }
  }
  await assertOpen(t, bed, doors);
});

test('a list longer than anybody needs is refused', async (t) => {
  const bed = await privateController(t, store());
  const doors = await openDoors(bed);
  const many = Array.from({ length: 10_000 }, (_, n) => n.toString(16).padStart(64, '0'));
  const rows: readonly (readonly [string, object])[] = [
    ['negotiation', { signers: many }],
    ['peer', { owners: many.map((owner_key_id) => ({ owner_key_id })) }],
  ];
  for (const [name, change] of rows) {
    const door = doors.find((one) => one.name === name) as Door;
    const answer = await sendData(bed, door, { ...door.body.data, ...change });
    assertRefused(t, bed, answer, { reason: 'request-malformed', what: name });
  }
});

async function sendData(
  bed: Parameters<typeof knock>[0],
  door: Door,
  data: unknown,
): ReturnType<typeof knock> {
  const body: RequestBody = { ...door.body, data };
  return await knock(bed, door, JSON.stringify(signedAt(bed, door, {}, body)));
}

/** Every field inside a value, outermost first. */
function pathsOf(value: unknown, before: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const path = [...before, Array.isArray(value) ? Number(key) : key];
    return [path, ...pathsOf(inner, path)];
  });
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (inner, key) => (inner as Record<string | number, unknown>)[key],
    value,
  );
}

/** A copy with one field replaced; `undefined` leaves it out. */
function replaced(value: unknown, path: Path, by: unknown): unknown {
  const copy = structuredClone(value) as Record<string, unknown>;
  const inner = at(copy, path.slice(0, -1)) as Record<string | number, unknown>;
  const last = path.at(-1) as string | number;
  if (by === undefined) delete inner[last];
  else inner[last] = by;
  return copy;
}

/** Whether a "wrong" value is after all one that the field may have. */
function isTaken(door: Door, path: Path, was: unknown, wrong: unknown): boolean {
  if (canonicalText(was) === canonicalText(wrong)) return true;
  const field = `${door.name}.${path.join('.')}`;
  // Free texts, opaque or checked by a later rule: any string of a length that may be.
  const free: Readonly<Record<string, number>> = {
    'contribution.text': 512 * 1024,
    'message.text': 128 * 1024,
    'peer.key_data': 64 * 1024,
    'peer.key_type_params': 4096,
    'endpoint.endpoint_type': 64,
    'endpoint.endpoint_params': 16 * 1024,
    'endpoint.description': 1024,
  };
  if (typeof wrong === 'string' && wrong.length <= (free[field] ?? 0)) return true;
  if (field === 'peer.name') return wrong === 'toString';
  if (field === 'peer.owners') return Array.isArray(wrong) && wrong.length === 0;
  if (field === 'endpoint.public') return typeof wrong === 'boolean';
  return false;
}
