import test from 'ava';
import { lacksOwn, type OwnPosition } from '../../src/mixer/position.ts';
import { madeDirectory, madeNode } from '../mixnet/made-directory.ts';

const node = madeNode(1);
const directory = madeDirectory([node]);
const [shown] = node.endpoints;
const own: OwnPosition = {
  controllerUrl: node.controllerUrl,
  paused: node.paused,
  endpoints: node.endpoints,
};
const another = { ...shown, endpointId: 'mix_another' } as OwnPosition['endpoints'][number];

for (const [what, position, lacks] of [
  ['what it shows', own, false],
  ['less than it shows', { ...own, endpoints: [] }, false],
  ['another URL', { ...own, controllerUrl: 'https://elsewhere.example/' }, true],
  ['a pause', { ...own, paused: true }, true],
  ['one more key, open now', { ...own, endpoints: [...own.endpoints, another] }, true],
  [
    'one more key that opens just before it ends',
    { ...own, endpoints: [{ ...another, opensMs: directory.validUntilMs - 1 }] },
    true,
  ],
  [
    'one more key that opens when it has ended',
    { ...own, endpoints: [{ ...another, opensMs: directory.validUntilMs }] },
    false,
  ],
] as const) {
  test(`a directory lacks ${lacks ? 'something' : 'nothing'} of a node that has ${what}`, (t) => {
    t.is(lacksOwn(directory, node.peerId, position), lacks);
  });
}
