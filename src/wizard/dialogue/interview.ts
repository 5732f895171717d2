/**
 * The wizard's questions in their order (D4.2 §5.1, §5.2), up to the point where the owners negotiate. Every
 * answer is in the configuration file before the next question, the key in its own: an interrupted interview
 * goes on where it was.
 */
import { dirname, resolve } from 'node:path';
import { ControllerClient } from '../../client/controller.ts';
import type { Identity } from '../../crypto/keys.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { PanoramixError } from '../../errors.ts';
import { MixnetStateFile } from '../../mixer/mixnet-state.ts';
import { refuseTerms, type PacketParams } from '../../mixnet/directory-texts.ts';
import { trustAuthorities } from '../../tls-files.ts';
import { refuseChain } from '../batch.ts';
import type { Answers } from './answers.ts';
import { checkController, checkFolder, type ControllerFinding } from './checks.ts';
import { provideKey } from './key.ts';
import { textOf, type Question, type Value } from './question.ts';
import { PACKETS, QUESTIONS as Q } from './questions.ts';

/** Name of the state file in the data folder, as `node.mixnet_file` has it by default. */
const STATE_FILE = 'mixnet.json';

/** What an interview leads to, besides the configuration file. */
export interface Interviewed {
  readonly role: 'create' | 'join';
  readonly purpose: 'mail' | 'batch';
  readonly identity: Identity;
  /** `negotiation|token`; null for who creates, or has used his. */
  readonly invitation: string | null;
}

/**
 * Asks what the configuration does not say yet, provides the key and registers the peer.
 * @param options.isShown whether the secret of a new key may be shown
 * @throws PanoramixError `wizard-left`, `config-invalid` naming flag and key, or the controller's reason
 */
export async function interview(
  answers: Answers,
  primitives: Primitives,
  options: { readonly isShown: boolean },
): Promise<Interviewed> {
  const { talk } = answers;
  if (answers.given(Q.tls_ca) !== null) believe(answers, await answers.ask(Q.tls_ca));
  const { url: catalogUrl, proposal } = await askController(
    answers,
    Q.CATALOG_URL,
    Q.CATALOG_URL.proposal,
  );
  const role = (await answers.ask(Q.role)) === 'create' ? 'create' : 'join';
  const purposeAsked = await answers.ask(Q.purpose, proposal?.purpose ?? Q.purpose.proposal);
  const purpose = purposeAsked === 'mail' ? 'mail' : 'batch';
  if (role === 'create') await askParams(answers, purpose, proposal);
  const dataDir = await askFolder(answers);
  const identity = await provideKey(answers, dataDir, primitives, options.isShown);
  const peerName = String(await answers.ask(Q.PEER_NAME));
  const client = new ControllerClient({ url: catalogUrl, identity, primitives });
  await client.registerPeer(peerName);
  talk.done(`Registered peer with PEER_ID: ${identity.peerId}`);
  const invitation = await askMeeting(answers, role, dataDir);
  if (purpose === 'mail') await askNode(answers, identity, role, catalogUrl);
  // An owner of a batch mixnet has all its endpoints where the owners meet.
  else keepUnlessThere(answers, Q.controller_url, catalogUrl);
  if (role === 'create') await askWhatTravels(answers, purpose);
  return { role, purpose, identity, invitation };
}

/** The endpoint of a batch mixnet (D4.2 §5.2), asked of its coordinator once the owners are there. */
export async function askEndpoint(answers: Answers): Promise<void> {
  await answers.ask(Q.ENDPOINT_NAME);
  await answers.ask(Q.ENDPOINT_TYPE);
  const sizeMin = Number(await answers.ask(Q.MIN_SIZE));
  const refuseSmaller = (text: string): ReturnType<Question['parse']> => {
    const parsed = Q.MAX_SIZE.parse(text);
    if (!('value' in parsed) || Number(parsed.value) >= sizeMin) return parsed;
    return { problem: `at least MIN_SIZE, ${sizeMin}` };
  };
  await answers.ask({ ...Q.MAX_SIZE, parse: refuseSmaller });
  await answers.ask(Q.EP_DESCRIPTION);
}

/** A controller's URL, until one answers there whose clock agrees with ours. */
async function askController(
  answers: Answers,
  question: Question,
  proposed: string | null,
): Promise<{ readonly url: string; readonly proposal: ControllerFinding['proposal'] }> {
  const { talk } = answers;
  let url = String(await answers.ask(question, proposed));
  for (;;) {
    talk.wait(`Looking for the controller at ${url}`);
    const { finding, proposal } = await checkController(url);
    talk.end();
    if (finding && 'warning' in finding) talk.warn(finding.warning);
    if (!finding || 'warning' in finding) return { url, proposal };
    if (!talk.answers) throw new PanoramixError('controller-unreachable', finding.problem);
    talk.warn(finding.problem);
    const next = await talk.choose({
      message: 'What now?',
      choices: [
        { value: 'again', hint: `try ${url} again` },
        { value: 'other', hint: 'another URL' },
        ...(finding.isUntrusted ? [AUTHORITY] : []),
      ],
    });
    if (next === 'other') url = String(await answers.askAnew(question, url));
    if (next === 'authority') await askAuthority(answers);
  }
}

const AUTHORITY = { value: 'authority', hint: 'name the file of your own certificate authority' };

/** Until a file is named that holds an authority's certificate. */
async function askAuthority(answers: Answers): Promise<void> {
  for (;;) {
    try {
      return believe(answers, await answers.askAnew(Q.tls_ca));
    } catch (error) {
      if (!(error instanceof PanoramixError) || error.code !== 'config-invalid') throw error;
      answers.talk.warn(error.message);
    }
  }
}

function believe(answers: Answers, file: Value): void {
  trustAuthorities(resolve(dirname(answers.config.path), String(file)));
}

async function askParams(
  answers: Answers,
  purpose: 'mail' | 'batch',
  proposal: ControllerFinding['proposal'],
): Promise<void> {
  const usual = PACKETS[purpose];
  // What the controller's operator has said counts for the mixnets that he has in mind.
  const said = proposal?.purpose === purpose ? proposal : null;
  await answers.ask(Q.BACKEND);
  await answers.ask(Q.BODY_LEN, String(said?.body_len ?? usual.BODY_LEN));
  const group = said?.group === 'P-224' ? '713' : (said?.group ?? usual.GROUP);
  await answers.ask(groupFor(purpose, Q.GROUP), group);
  await answers.ask(Q.HEADER_LEN, String(said?.header_len ?? usual.HEADER_LEN));
}

/** The question about GROUP, for a purpose: mail's links would be ten times slower in P-224. */
export function groupFor(purpose: 'mail' | 'batch', question: Question): Question {
  if (purpose === 'batch') return question;
  return {
    ...question,
    choices: Q.GROUP.choices.map((choice) =>
      choice.value === 'X25519' ? choice : { ...choice, unbuilt: true },
    ),
    parse: (text) => {
      const parsed = question.parse(text);
      if (!('value' in parsed) || parsed.value === 'X25519') return parsed;
      return { problem: 'mail needs X25519' };
    },
  };
}

async function askFolder(answers: Answers): Promise<string> {
  for (let asked = await answers.ask(Q.data_dir); ; asked = await answers.askAnew(Q.data_dir)) {
    const path = resolve(dirname(answers.config.path), String(asked));
    const finding = checkFolder(path);
    if (!finding) return path;
    const { problem } = finding as { readonly problem: string };
    if (!answers.talk.answers) throw new PanoramixError('config-invalid', problem);
    answers.talk.warn(problem);
  }
}

/** Whom we meet: how many we invite, or who has invited us. */
async function askMeeting(
  answers: Answers,
  role: 'create' | 'join',
  dataDir: string,
): Promise<string | null> {
  if (role === 'create') {
    await answers.ask(Q.name);
    await answers.ask(Q.invitations);
    return null;
  }
  const state = new MixnetStateFile(resolve(dataDir, STATE_FILE)).read();
  // Used, and no longer asked for: what it led to is there.
  if (state) return state.invitation ?? null;
  return String(await answers.ask(Q.JOIN_INVITATION));
}

/** What our node is to be, and where a gateway meets its Postfix. */
async function askNode(
  answers: Answers,
  identity: Identity,
  role: 'create' | 'join',
  catalogUrl: string,
): Promise<void> {
  const roles = await answers.ask(Q.roles);
  const isGateway = textOf(roles).split(' ').includes('gateway');
  if (isGateway) {
    const domains = textOf(await answers.ask(Q.domains));
    for (const domain of domains.split(' ').filter((each) => each !== '')) {
      answers.talk.say(`For the others to sign: _panoramix.${domain}. TXT "${identity.peerId}"`);
    }
    await answers.ask(Q.weight);
  }
  await askController(answers, Q.controller_url, role === 'create' ? catalogUrl : null);
  if (!isGateway) return;
  for (const question of [Q.smtp, Q.lmtp, Q.reinject, Q.deliver, Q.hostname]) {
    await answers.ask(question);
  }
}

const TRAFFIC = [Q.delay_mean_ms, Q.ticks_per_second, Q.loops_per_second, Q.mixes_per_route];

/** How much travels, and whether the packets can carry it over the agreed path. */
async function askWhatTravels(answers: Answers, purpose: 'mail' | 'batch'): Promise<void> {
  if (purpose === 'mail') await askTraffic(answers);
  for (;;) {
    const refused = refusePackets(answers, purpose);
    if (refused === null) return;
    if (!answers.talk.answers) throw new PanoramixError('config-invalid', refused);
    answers.talk.warn(refused);
    await answers.askAnew(Q.BODY_LEN, PACKETS[purpose].BODY_LEN);
    await answers.askAnew(Q.HEADER_LEN, PACKETS[purpose].HEADER_LEN);
  }
}

async function askTraffic(answers: Answers): Promise<void> {
  const isTold = TRAFFIC.some((question) => answers.given(question) !== null);
  const isOwn = isTold || (await answers.ask(Q.traffic)) === 'own';
  for (const question of TRAFFIC) {
    if (isOwn) await answers.ask(question);
    else keepUnlessThere(answers, question, question.parse(question.proposal));
  }
}

function refusePackets(answers: Answers, purpose: 'mail' | 'batch'): string | null {
  const given = (question: Question): number => Number(answers.given(question));
  const params: PacketParams = {
    GROUP: answers.given(Q.GROUP) === 'X25519' ? 'X25519' : 'P-224',
    HEADER_LEN: given(Q.HEADER_LEN),
    BODY_LEN: given(Q.BODY_LEN),
  };
  return purpose === 'mail'
    ? refuseTerms(params, given(Q.mixes_per_route))
    : refuseChain(params, given(Q.invitations) + 1);
}

function keepUnlessThere(
  answers: Answers,
  question: Question,
  value: string | ReturnType<Question['parse']>,
): void {
  if (!question.key || answers.config.get(question.key) !== undefined) return;
  if (typeof value === 'string') answers.config.set(question.key, value);
  else if ('value' in value) answers.config.set(question.key, value.value);
}
