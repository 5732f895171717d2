/**
 * `panoramix sphinx build|peel|surb|reply|open`: the packet format by hand, for debugging and for other
 * implementations to compare with. JSON objects on stdin, one a line; one answer a line. Byte strings
 * are hex, names are those of test/vectors/README.md. A refused packet is `{"drop": REASON}`, a line
 * that asks for nothing sensible `{"error": TEXT}`, and the next line is read all the same.
 */

import { createInterface } from 'node:readline';
import { Command, Option } from 'commander';
import { fromHex, toHex } from '../bytes.ts';
import { native } from '../crypto/native.ts';
import { portable } from '../crypto/portable.ts';
import type { Primitives, Random } from '../crypto/primitives.ts';
import { createSphinx } from '../sphinx/index.ts';
import type { Drop, Hop, Sphinx, SphinxParams, Surb } from '../sphinx/index.ts';

/** What each verb takes beside `group`, `header_len` and `body_len`, and what it answers. */
const VERBS = {
  build: '{hops: [{routing, public}], dest, message, randomness?} -> {packet}',
  peel: '{secret, packet: {alpha, beta, gamma, delta}} -> {tag, routing, mac_key, out}',
  surb: '{hops, dest, randomness?} -> {surb}',
  reply: '{surb, message} -> {packet}',
  open: '{mac_key, delta} -> {dest, message}, or {keytuple, delta} -> {message}',
} as const;

/** A verb of `panoramix sphinx`. */
export type SphinxVerb = keyof typeof VERBS;

type Fields = Readonly<Record<string, unknown>>;
type Answer = Record<string, unknown>;

const PRIMITIVES = { native, portable } as const satisfies Record<string, Primitives>;
const PACKET_PARTS = ['alpha', 'beta', 'gamma', 'delta'] as const;
const DEFAULTS = { group: 'X25519', header_len: 320, body_len: 32_768 };

/** Thrown for input that asks for nothing sensible; its text becomes the answer's `error`. */
class InputError extends Error {}

/** The command, to be added to the program's. */
export function sphinxCommand(): Command {
  const command = new Command('sphinx').description(
    'build and open single packets: JSON objects on stdin, one answer a line, byte strings in hex',
  );
  for (const verb of Object.keys(VERBS) as SphinxVerb[]) {
    command
      .command(verb)
      .description(VERBS[verb])
      .addOption(
        new Option('--primitives <set>', 'implementation of the cryptography')
          .choices(Object.keys(PRIMITIVES))
          .default('native'),
      )
      .action(async ({ primitives }: { primitives: keyof typeof PRIMITIVES }) => {
        await answerLines(verb, PRIMITIVES[primitives]);
      });
  }
  return command;
}

async function answerLines(verb: SphinxVerb, primitives: Primitives): Promise<void> {
  process.stdout.once('error', () => process.exit(1)); // a reader that has gone, as in `| head -1`
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (line.trim() === '') continue;
    const answer = answerLine(verb, line, primitives);
    if (!process.stdout.write(`${JSON.stringify(answer)}\n`)) {
      await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
  }
}

function answerLine(verb: SphinxVerb, line: string, primitives: Primitives): Answer {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { error: 'the line is not JSON' };
  }
  return answerSphinx(verb, value, primitives);
}

/**
 * The answer to one object of a verb, `{drop}` for what is refused, `{error}` for what makes no sense.
 * @param value the parsed line; `group`, `header_len` and `body_len` default to those of mail
 */
export function answerSphinx(verb: SphinxVerb, value: unknown, primitives: Primitives): Answer {
  try {
    const fields = asFields('the line', value);
    const sphinx = createSphinx(readParams(fields), primitives);
    return ANSWERS[verb](sphinx, fields, primitives);
  } catch (error) {
    // RangeError: the packet code's word for sizes and keys that its own caller should have checked.
    if (error instanceof InputError || error instanceof RangeError) return { error: error.message };
    throw error;
  }
}

const ANSWERS: Record<
  SphinxVerb,
  (sphinx: Sphinx, fields: Fields, primitives: Primitives) => Answer
> = {
  build(sphinx, fields, primitives) {
    const random = readRandom(fields, primitives);
    const [hops, dest, message] = [
      readHops(fields),
      readHex(fields, 'dest'),
      readHex(fields, 'message'),
    ];
    const packet = sphinx.build(hops, dest, message, random.draw);
    random.finish();
    return { packet: showPacket(sphinx, packet) };
  },

  peel(sphinx, fields) {
    const packet = readPacket(sphinx, fields);
    const peeled = packet && sphinx.peel(readHex(fields, 'secret'), packet);
    if (peeled === null) return { drop: 'packet-length' };
    if (peeled.kind === 'drop') return showDrop(peeled);
    return {
      tag: toHex(peeled.tag),
      routing: toHex(peeled.routingBytes),
      mac_key: toHex(peeled.macKey),
      out: showPacket(sphinx, peeled.out),
    };
  },

  surb(sphinx, fields, primitives) {
    const random = readRandom(fields, primitives);
    const created = sphinx.createSurb(readHops(fields), readHex(fields, 'dest'), random.draw);
    random.finish();
    const { first, alpha, beta, gamma, ktilde } = created.surb;
    return {
      surb: {
        id: toHex(created.id),
        keytuple: created.keytuple.map(toHex),
        first: toHex(first),
        alpha: toHex(alpha),
        beta: toHex(beta),
        gamma: toHex(gamma),
        ktilde: toHex(ktilde),
      },
    };
  },

  reply(sphinx, fields) {
    const packet = sphinx.reply(readSurb(fields), readHex(fields, 'message'));
    return { packet: showPacket(sphinx, packet) };
  },

  open(sphinx, fields) {
    const delta = readHex(fields, 'delta');
    if (fields['keytuple'] === undefined) {
      const payload = sphinx.openForward(readHex(fields, 'mac_key'), delta);
      if ('kind' in payload) return showDrop(payload);
      return { dest: toHex(payload.dest), message: toHex(payload.message) };
    }
    const keytuple = readList(fields, 'keytuple').map((key, i) => asHex(`keytuple[${i}]`, key));
    const message = sphinx.openReply(keytuple, delta);
    return 'kind' in message ? showDrop(message) : { message: toHex(message) };
  },
};

function showDrop({ reason }: Drop): Answer {
  return { drop: reason };
}

function showPacket(sphinx: Sphinx, packet: Uint8Array): Answer {
  const parts: Answer = {};
  let offset = 0;
  for (const part of PACKET_PARTS) {
    const end = offset + sphinx.partBytes[part];
    parts[part] = toHex(packet.subarray(offset, end));
    offset = end;
  }
  return parts;
}

/** The packet's bytes, or null where a part has a wrong length: joined, two errors could cancel out. */
function readPacket(sphinx: Sphinx, fields: Fields): Uint8Array | null {
  const packet = asFields('packet', fields['packet']);
  const whole = new Uint8Array(sphinx.packetBytes);
  let offset = 0;
  for (const part of PACKET_PARTS) {
    const bytes = readHex(packet, part);
    if (bytes.length !== sphinx.partBytes[part]) return null;
    whole.set(bytes, offset);
    offset += bytes.length;
  }
  return whole;
}

function readSurb(fields: Fields): Surb {
  const surb = asFields('surb', fields['surb']);
  return {
    first: new Uint8Array(0), // where the packet goes is for the one who sends it
    alpha: readHex(surb, 'alpha'),
    beta: readHex(surb, 'beta'),
    gamma: readHex(surb, 'gamma'),
    ktilde: readHex(surb, 'ktilde'),
  };
}

function readParams(fields: Fields): SphinxParams {
  const { group, header_len: headerLen, body_len: bodyLen } = { ...DEFAULTS, ...fields };
  // What is no group or number is refused by createSphinx, with the reason.
  return { group, headerLen, bodyLen } as SphinxParams;
}

function readHops(fields: Fields): Hop[] {
  return readList(fields, 'hops').map((value, i) => {
    const hop = asFields(`hops[${i}]`, value);
    return { routing: readHex(hop, 'routing'), publicKey: readHex(hop, 'public') };
  });
}

/** Recorded randomness, string by string, or fresh; `finish` complains about what was not used. */
function readRandom(
  fields: Fields,
  primitives: Primitives,
): { readonly draw: Random; finish(): void } {
  if (fields['randomness'] === undefined) return { draw: primitives.random, finish: () => {} };
  const recorded = readList(fields, 'randomness').map((text, i) => asHex(`randomness[${i}]`, text));
  let used = 0;
  return {
    draw(byteLength) {
      const bytes = recorded[used];
      if (bytes?.length !== byteLength) {
        throw new InputError(
          `randomness[${used}]: expected ${byteLength} bytes, got ${bytes?.length ?? 'nothing'}`,
        );
      }
      used += 1;
      return bytes;
    },
    finish() {
      if (used < recorded.length)
        throw new InputError(`randomness: only ${used} strings are drawn`);
    },
  };
}

function readList(fields: Fields, name: string): readonly unknown[] {
  const value = fields[name];
  if (!Array.isArray(value)) throw new InputError(`${name}: expected a list`);
  return value;
}

function readHex(fields: Fields, name: string): Uint8Array {
  return asHex(name, fields[name]);
}

function asHex(name: string, value: unknown): Uint8Array {
  const bytes = typeof value === 'string' ? fromHex(value) : null;
  if (bytes === null) throw new InputError(`${name}: expected hex`);
  return bytes;
}

function asFields(name: string, value: unknown): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InputError(`${name}: expected an object`);
  }
  return value as Fields;
}
