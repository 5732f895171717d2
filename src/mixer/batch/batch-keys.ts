/**
 * The keys of a batch position, in a file of mode 0600 that is written once: the mix key, which peels, and
 * the order key, from which shuffles and dummies follow. They serve all cycles of one endpoint, since
 * messages are carried from one into the next, and end with it.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { endpointId as endpointIdField } from '../../api/fields.ts';
import { fromHex, toHex } from '../../bytes.ts';
import { createMixKey, mixKeyFromSecret, type MixKey } from '../../crypto/keys.ts';
import type { GroupName, Primitives } from '../../crypto/primitives.ts';
import { createDurably, readIfThere } from '../../durable-file.ts';
import { PanoramixError } from '../../errors.ts';
import { readPrivate } from '../../key-files.ts';

const FOLDER = 'batch';
const ORDER_KEY_BYTES = 32;

const keyFile = z.strictObject({
  version: z.literal(1),
  endpoint_id: endpointIdField,
  group: z.enum(['X25519', 'P-224']),
  mix_secret: z.string().regex(/^([0-9a-f]{64}|[0-9a-f]{56})$/),
  order_key: z.string().regex(/^[0-9a-f]{64}$/),
});

/** Keys of one endpoint of ours. */
export interface BatchKeys {
  readonly mixKey: MixKey;
  /** 32 bytes. */
  readonly orderKey: Uint8Array;
}

/**
 * The keys of an endpoint, drawn and written first where there are none.
 * @throws PanoramixError `config-invalid` where the file is damaged or others may read it
 */
export function readOrCreateBatchKeys(
  dataDir: string,
  primitives: Primitives,
  endpointId: string,
  groupName: GroupName,
): BatchKeys {
  const path = pathOf(dataDir, endpointId);
  const group = primitives.group(groupName);
  if (readIfThere(path) === null) {
    const text = JSON.stringify({
      version: 1,
      endpoint_id: endpointId,
      group: groupName,
      mix_secret: toHex(createMixKey(primitives, group).secret),
      order_key: toHex(primitives.random(ORDER_KEY_BYTES)),
    });
    createDurably(path, `${text}\n`);
  }
  const { data: file } = keyFile.safeParse(parseOrNull(readPrivate(path)));
  const isOurs = file?.endpoint_id === endpointId && file.group === groupName;
  const secret = fromHex(file?.mix_secret ?? '');
  const orderKey = fromHex(file?.order_key ?? '') as Uint8Array;
  if (!isOurs || secret?.length !== group.secretBytes || secret.every((byte) => byte === 0)) {
    throw new PanoramixError('config-invalid', `${path} does not hold the keys of ${endpointId}`);
  }
  return Object.defineProperty({ mixKey: mixKeyFromSecret(group, secret) }, 'orderKey', {
    value: orderKey,
  }) as BatchKeys;
}

/** Destroys the keys of an endpoint that will not open again: what went through it stays closed. */
export function destroyBatchKeys(dataDir: string, endpointId: string): void {
  rmSync(pathOf(dataDir, endpointId), { force: true });
}

/** Endpoints of whose keys there is a file. */
export function listBatchKeys(dataDir: string): string[] {
  const folder = join(dataDir, FOLDER);
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -'.json'.length)] : []));
}

function pathOf(dataDir: string, endpointId: string): string {
  return join(dataDir, FOLDER, `${endpointId}.json`);
}

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
