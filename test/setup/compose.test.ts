/**
 * What of docker/ can be checked without a container engine: that the compose file, the Dockerfile and
 * the configuration files fit each other and what the programs accept.
 */
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import { parseConfig } from '../../src/config.ts';

interface Service {
  readonly command: readonly string[];
  readonly volumes: readonly string[];
  readonly network_mode: string;
  readonly build: { readonly context: string; readonly dockerfile: string };
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const root = join(import.meta.dirname, '../..');
const docker = join(root, 'docker');
const readCompose = async (): Promise<Compose> =>
  parse(await readFile(join(docker, 'compose.yml'), 'utf8'), { merge: true }) as Compose;

test('every service names a configuration file that its program accepts', async (t) => {
  const { services } = await readCompose();
  for (const [role, { command }] of Object.entries(services)) {
    const path = command.at(-1)?.replace('/etc/panoramix', join(docker, 'config')) ?? '';
    const config = parseConfig(await readFile(path, 'utf8'), path);
    t.true(role === 'controller' ? config.controller !== undefined : config.node !== undefined);
    t.is(config.gateway !== undefined, role === 'gateway' || role === 'wizard');
  }
});

test('each peer has its own controller, over TLS, and its node names that one', async (t) => {
  const configOf = async (name: string): Promise<ReturnType<typeof parseConfig>> => {
    const path = join(docker, 'config', name);
    return parseConfig(await readFile(path, 'utf8'), path);
  };
  const { controller } = await configOf('controller.yaml');
  t.true(controller?.catalog_url.startsWith('https://'));
  t.is(controller?.tls?.key, join(docker, 'config/tls/key.pem'));
  for (const name of ['gateway.yaml', 'mix.yaml']) {
    const { node, mixnet } = await configOf(name);
    t.is(node?.controller_url, controller?.catalog_url, name);
    t.not(mixnet?.catalog_url, node?.controller_url, 'where owners meet is the coordinator’s');
  }
});

test('what a program writes lies in a volume that outlives its container', async (t) => {
  const { services, volumes } = await readCompose();
  for (const { command, volumes: mounts } of Object.values(services)) {
    const path = command.at(-1)?.replace('/etc/panoramix', join(docker, 'config')) ?? '';
    const { data_dir: dataDir } = parseConfig(await readFile(path, 'utf8'), path);
    const mount = mounts.find((each) => each.endsWith(`:${dataDir}`));
    t.truthy(mount, `${dataDir} is mounted for writing`);
    t.true(Object.hasOwn(volumes, mount?.split(':')[0] ?? ''));
  }
});

test('the image is built from files that are there and may reach the engine', async (t) => {
  const { services } = await readCompose();
  const dockerfile = await readFile(join(docker, 'Dockerfile'), 'utf8');
  const ignored = await readFile(join(docker, 'Dockerfile.dockerignore'), 'utf8');
  const copied = [...dockerfile.matchAll(/^COPY (.*) \S+$/gm)].flatMap(
    ([, from]) => from?.split(' ') ?? [],
  );
  t.true(copied.length > 4);
  for (const name of copied) {
    await t.notThrowsAsync(access(join(root, name)));
    t.true(ignored.split('\n').includes(`!${name}`), `${name} is let through`);
  }
  for (const { build } of Object.values(services)) {
    t.is(join(docker, build.context, build.dockerfile), join(docker, 'Dockerfile'));
  }
});
