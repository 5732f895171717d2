import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { NodesOfStateFile } from '../../src/cli/nodes-of-state.ts';
import type { Log } from '../../src/log.ts';
import { MixnetStateFile } from '../../src/mixer/mixnet-state.ts';
import { temporaryDataDir } from '../redis/private-redis.ts';

const NODE = 'a'.repeat(64);
const LATER = 'b'.repeat(64);
const MIXNET = 'c'.repeat(64);

test('a state file that could not be read left a controller without nodes, and it said nothing', async (t) => {
  const path = join(await temporaryDataDir(t), 'mixnet.json');
  const file = new MixnetStateFile(path);
  const write = (nodes: string[]) =>
    file.write({
      version: 1,
      catalog_url: 'http://127.0.0.1:9/',
      peer_id: NODE,
      founding_negotiation_id: LATER,
      mixnet_id: MIXNET,
      nodes,
      signed: {},
    });
  const said: string[] = [];
  const say = (_fields: object, text: string): void => void said.push(text);
  const log: Log = { debug: say, info: say, warn: say, error: say };
  const clock = { ms: 0 };
  const nodes = new NodesOfStateFile(path, log, () => clock.ms);
  const knows = (peerId: string): boolean => {
    clock.ms += 1_000;
    return nodes.has(peerId);
  };
  t.false(knows(NODE));
  t.regex(said.pop() ?? '', /No nodes are known yet/);
  write([NODE]);
  t.true(knows(NODE));
  t.true(nodes.isMixnet(MIXNET));
  write([NODE, LATER]);
  chmodSync(path, 0o644);
  for (let i = 0; i < 3; i++) t.true(knows(NODE), 'what is known holds');
  t.false(knows(LATER));
  t.is(said.length, 1, 'said once');
  t.regex(said.pop() ?? '', /may be read by others/);
  chmodSync(path, 0o600);
  t.true(knows(LATER), 'though its time of change is the same');
  rmSync(path);
  writeFileSync(path, '{', { mode: 0o600 });
  t.true(knows(LATER));
  t.regex(said.pop() ?? '', /no state file of this version/);
  write([NODE]);
  t.false(knows(LATER), 'who has left is none any more');
  t.deepEqual(said, []);
});
