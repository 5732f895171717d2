/**
 * What a mail of nothing but dots costs an entry, beside one of letters that is as large on the wire: CPU of this process, which is
 * door, entry, and the way back to a mail server that throws away what it gets, in turns.
 * `node test/bench/dots.ts [MB] [TURNS]`
 */
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { Submitter } from '../../filters/submit.ts';
import { Dialogue } from '../filters/dialogue.ts';
import { startEntryRig } from '../filters/entry-rig.ts';
import { medianOf, stuffedBody } from './dot-heavy.ts';

const bytes = Number(process.argv[2] ?? 8) * 1_000_000;
const turns = Number(process.argv[3] ?? 9);
const HEADER = Buffer.from('X-PANORAMIX-Mixable: yes\r\n\r\n');

/** Says 250 to everything, and looks at the last bytes of a message only. */
const sink = createServer((socket) => {
  let [inData, end] = [false, ''];
  socket.write('220 sink\r\n');
  socket.on('data', (chunk: Buffer) => {
    end = (end + chunk.subarray(-5).toString('latin1')).slice(-5);
    if (inData && end !== '\r\n.\r\n') return;
    const commands = inData ? ['.'] : chunk.toString('latin1').trimEnd().split('\r\n');
    inData = commands.at(-1) === 'DATA';
    for (const command of commands) socket.write(command === 'DATA' ? '354 go\r\n' : '250 ok\r\n');
  });
  socket.on('error', () => undefined);
}).listen(0, '127.0.0.1');
await once(sink, 'listening');
const server = { host: '127.0.0.1', port: (sink.address() as AddressInfo).port };
const submitter = new Submitter({ server, hostname: 'bench.example' });
const rig = await startEntryRig({
  entry: { submitter },
  listen: { messageBytesMax: 2 * bytes, bufferedBytesMax: 4 * bytes },
});
const dialogue = await Dialogue.open(rig.listening.lmtp);
await dialogue.say('LHLO bench');

/** CPU of one mail, ms. */
async function cost(line: string, to: string): Promise<number> {
  await dialogue.sayAll('MAIL FROM:<a@b.example>', `RCPT TO:<c@${to}>`);
  const message = Buffer.concat([HEADER, stuffedBody(line, bytes)]);
  const before = process.cpuUsage();
  const reply = await dialogue.data(message);
  const { user, system } = process.cpuUsage(before);
  if (!reply.startsWith('250 ')) throw new Error(reply);
  rig.mixed.length = 0;
  return (user + system) / 1_000;
}

for (const [what, to] of [
  ['mixed', 'in.example'],
  ['passed', 'outside.example'],
] as const) {
  const costs = { letters: [] as number[], dots: [] as number[] };
  for (let turn = 0; turn < turns; turn++) {
    costs.letters.push(await cost('xx\r\n', to));
    costs.dots.push(await cost('..\r\n', to));
  }
  const ratios = costs.dots
    .map((dots, i) => dots / (costs.letters[i] as number))
    .toSorted((a, b) => a - b);
  const [letters, dots] = [medianOf(costs.letters), medianOf(costs.dots)];
  const spread = `${ratios[0]?.toFixed(2)} to ${ratios.at(-1)?.toFixed(2)}`;
  const ratio = medianOf(ratios).toFixed(2);
  console.log(
    `${what}: letters ${letters.toFixed()} ms, dots ${dots.toFixed()} ms, ratio ${ratio} (${spread})`,
  );
}
dialogue.close();
await submitter.close();
await rig[Symbol.asyncDispose]();
sink.close();
