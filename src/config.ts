/**
 * The configuration file: one YAML file per program, named by PANORAMIX_CONFIG (D4.2 §5) or --config.
 * Parsed once, here, into a type that cannot be wrong; unknown keys are refused with their place.
 */
import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { isIP } from 'node:net';
import { LineCounter, parseDocument, type Document } from 'yaml';
import { z } from 'zod';
import { isInsecureUrl } from './api/controller-url.ts';
import { PanoramixError, wordsOf } from './errors.ts';
import { requirePrivate } from './key-files.ts';

/** Where a server listens or a peer answers. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

const address = z.string().transform((text, context): Address => {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    context.addIssue({ code: 'custom', message: 'expected HOST:PORT, such as 127.0.0.1:10034' });
    return z.NEVER;
  }
  return { host: match[1] ?? match[2] ?? '', port };
});

/** A controller's: https, or http to this host alone. */
const httpUrl = z
  .url({ protocol: /^https?$/ })
  // What is no URL at all has been said so already.
  .refine(
    (url) => !URL.canParse(url) || !isInsecureUrl(url),
    'url-insecure: plain HTTP to another host, take https',
  );
const domain = z
  .string()
  .toLowerCase()
  .regex(/^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/);

/** What somebody may send in an hour; at 2 ticks/s one exit of two takes 115 MB in it. */
function allowance(of: {
  readonly mails: number;
  readonly bytes: number;
  readonly recipients: number;
}) {
  return z
    .strictObject({
      mails_per_hour: z.int().min(1).default(of.mails),
      bytes_per_hour: z.int().min(1).default(of.bytes),
      recipients_per_hour: z.int().min(1).default(of.recipients),
    })
    .prefault({});
}

/** Traffic that the owners agree on; all times in ms. The arithmetic stands in src/mixnet/README.md. */
const traffic = z.strictObject({
  delay_mean_ms: z.int().min(0).max(3_600_000).default(2_000),
  ticks_per_second: z.number().positive().max(1_000).default(2),
  loops_per_second: z.number().positive().max(1_000).default(2),
  mixes_per_route: z.int().min(1).max(4).default(3),
  expiry_ms: z
    .int()
    .min(60_000)
    .default(5 * 86_400_000),
});

/** D4.2 writes GROUP 713 for what others call P-224. */
const packetGroup = z
  .union([z.enum(['X25519', 'P-224']), z.literal(713), z.literal('713')])
  .transform((name): 'X25519' | 'P-224' => (name === 'X25519' ? name : 'P-224'));

const batchEndpoint = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9_]{0,23}$/)
    .default('gateway'),
  /** One chain through all owners, or a stop of each owner and random routes. */
  type: z.enum(['SPHINXMIX_GATEWAY', 'SPHINXMIX']).default('SPHINXMIX_GATEWAY'),
  size_min: z.int().min(1).default(3),
  size_max: z.int().min(1).default(10),
  /** After so long owners fill up with dummies; without it a cycle waits for its minimum for ever. */
  wait_ms: z.int().min(1_000).max(86_400_000).optional(),
  description: z.string().max(1024).default(''),
  /** Whether everybody may read what comes out. */
  public: z.boolean().default(true),
});

const schema = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,64}$/),
  data_dir: z.string().min(1),
  /** PEM file of authorities that controllers' certificates may have, besides those that Node brings. */
  tls_ca: z.string().min(1).optional(),
  log_level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  redis: z
    .strictObject({
      url: z.string().optional(),
      max_memory_mb: z.int().min(32).max(1_048_576).default(1024),
    })
    .prefault({}),
  controller: z
    .strictObject({
      listen: address.prefault('127.0.0.1:8000'),
      catalog_url: httpUrl.default('http://127.0.0.1:8000/'),
      /** PEM files of its certificate, with the chain, and key; without them it speaks HTTP, on this host or to a proxy. */
      tls: z.strictObject({ cert: z.string().min(1), key: z.string().min(1) }).optional(),
      /** The wizard's state file of the node that this controller serves; says who the nodes are. */
      mixnet_file: z.string().optional(),
      /** What its wizards propose to who creates a mixnet here; names as in D4.2 §5.1. */
      proposal: z
        .strictObject({
          purpose: z.enum(['mail', 'batch']),
          backend: z.literal('SPHINXMIX'),
          body_len: z.int().min(64).max(1_048_576),
          group: packetGroup,
          header_len: z.int(),
        })
        .optional(),
      /** Addresses of the proxies in front, whose X-Forwarded-For is believed. */
      trusted_proxies: z.array(z.union([z.ipv4(), z.ipv6()])).default([]),
    })
    .refine(({ tls, catalog_url: url }) => tls === undefined || url.startsWith('https:'), {
      path: ['catalog_url'],
      message: 'with "tls:" it begins with https:',
    })
    .optional(),
  node: z
    .strictObject({
      controller_url: httpUrl,
      /** Where `wizard` left what was agreed; relative to data_dir. */
      mixnet_file: z.string().default('mixnet.json'),
      /** Threads that peel packets, beside the event loop. */
      threads: z.int().min(1).max(64).default(1),
      /** The coordinator's, batch: how long a result stays to be fetched before the next cycle opens. */
      linger_ms: z.int().min(0).max(86_400_000).default(60_000),
    })
    .optional(),
  mixnet: z
    .strictObject({
      action: z.enum(['create', 'join']),
      /** The controller on which the owners meet. */
      catalog_url: httpUrl,
      name: z.string().default('panoramix'),
      /** What the dialogue was told; which it is, roles or endpoint below say. */
      purpose: z.enum(['mail', 'batch']).optional(),
      backend: z.literal('SPHINXMIX').default('SPHINXMIX'),
      invitations: z.int().min(0).max(100).default(0),
      invitation: z.string().optional(),
      /** What our node is to be in a mixnet for mail; a batch mixnet has one link of each owner. */
      roles: z
        .array(z.enum(['mix', 'gateway']))
        .min(1)
        .optional(),
      domains: z.array(domain).default([]),
      /** Our gateway's share among all exits. */
      weight: z.int().min(1).max(1_000_000).default(1),
      /** Who is asked for the others' proofs, `_panoramix.DOMAIN TXT`: IP:PORT; default the system's. */
      dns_servers: z.array(address.refine(({ host }) => isIP(host) !== 0, 'no IP')).default([]),
      /** Domains of others for which the operator vouches, where DNS does not show whose they are. */
      confirmed_domains: z.array(domain).default([]),
      /** D4.2's 713 is P-224, which batch mixnets alone may take. */
      group: packetGroup.default('X25519'),
      /** Default: 320 and 32768 for mail, D4.2's 192 and 1024 for a batch mixnet. */
      header_len: z.int().optional(),
      body_len: z.int().min(64).max(1_048_576).optional(),
      /** Makes it a batch mixnet: the gateway endpoint that the coordinator proposes (D4.2 §5.2). */
      endpoint: batchEndpoint.optional(),
      traffic: traffic.prefault({}),
      /** Three epochs: a new snapshot is due after a third of it. */
      snapshot_lifetime_ms: z
        .int()
        .min(1_000)
        .default(9 * 3_600_000),
      /** How long a node uses a mix key. */
      key_lifetime_ms: z.int().min(1_000).default(86_400_000),
    })
    .optional(),
  gateway: z
    .strictObject({
      lmtp: address.prefault('127.0.0.1:10034'),
      smtp: address.prefault('127.0.0.1:10035'),
      reinject: address.prefault('127.0.0.1:10036'),
      deliver: address.prefault('127.0.0.1:10037'),
      /** Where bounces come back: mail to our return addresses, by LMTP. */
      returns: address.prefault('127.0.0.1:10038'),
      /** The name given in EHLO and in the greeting. */
      hostname: domain.default('localhost'),
      /** Listening beyond loopback is a decision: the filter has no authentication. */
      allow_remote: z.boolean().default(false),
      /** The exit's store takes 2048 fragments of one message, 64 MB. */
      message_bytes_max: z.int().min(65_536).max(64_000_000).default(20_480_000),
      recipients_max: z.int().min(1).max(10_000).default(1000),
      partial: z.enum(['split', 'refuse']).default('split'),
      /** Mixed mail of one MAIL FROM, and of one client of Postfix; over it is 451. */
      limits: z
        .strictObject({
          sender: allowance({ mails: 300, bytes: 100_000_000, recipients: 3_000 }),
          client: allowance({ mails: 3_000, bytes: 1_000_000_000, recipients: 30_000 }),
        })
        .prefault({}),
      exit: z
        .strictObject({
          sender: z.enum(['return', 'original']).default('return'),
          delay_mean_ms: z.int().min(0).max(86_400_000).default(20_000),
          /**
           * Domain of return addresses, one whose mail comes to this machine's mail server. Default: the first
           * that the directory gives to this exit, else `hostname`.
           */
          return_domain: domain.optional(),
          /** Domains delivered to besides those that the directory says are ours, and how much. */
          domains: z.array(domain).default([]),
          recipients_per_hour: z.int().min(1).default(1_000),
          message_bytes_max: z.int().min(1).default(10_240_000),
          /** Recipients who want no mail out of the mixnet: an address or @domain a line. */
          opt_out_file: z.string().min(1).optional(),
          /** Whom to write to, for senders and recipients who complain; in reports of this exit. */
          abuse_text: z.string().max(2_000).optional(),
        })
        .prefault({}),
      reports: z
        .strictObject({
          /** A sender hears after so long that a mail is late; 0: never. */
          delay_warning_ms: z
            .int()
            .min(0)
            .default(4 * 3_600_000),
        })
        .prefault({}),
    })
    .optional(),
});

/** A configuration file, parsed; paths in it are absolute. */
export type Config = z.output<typeof schema>;

/**
 * Reads the configuration file.
 * @param path from --config; else PANORAMIX_CONFIG
 * @throws PanoramixError `config-invalid` that names file, line and key; also where it holds a password or an
 * invitation, and others may read it
 */
export function readConfig(path: string | undefined = process.env['PANORAMIX_CONFIG']): Config {
  if (!path) {
    throw new PanoramixError(
      'config-invalid',
      'no configuration file: set PANORAMIX_CONFIG or give --config FILE',
    );
  }
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new PanoramixError('config-invalid', `${path} cannot be read: ${wordsOf(error)}`, error);
  }
  const config = parseConfig(text, resolve(path));
  if (holdsSecret(config)) requirePrivate(path, statSync(path));
  return config;
}

/** A password, or an invitation by which anybody could join instead. */
function holdsSecret({ redis, mixnet }: Config): boolean {
  const url = redis.url !== undefined && URL.canParse(redis.url) ? new URL(redis.url) : null;
  return (url?.password ?? '') !== '' || mixnet?.invitation !== undefined;
}

/** Parses the text of a configuration file; relative paths in it count from the file's folder. */
export function parseConfig(text: string, path: string): Config {
  const lines = new LineCounter();
  // Not its "pretty" errors, nor its warnings on the terminal: they quote the line, and it may hold a password.
  const quiet = { prettyErrors: false, logLevel: 'error' } as const;
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, ...quiet });
  // A tag that is not known is a slip like any other.
  const syntax = document.errors[0] ?? document.warnings[0];
  if (syntax) {
    const { line } = lines.linePos(syntax.pos[0]);
    throw new PanoramixError('config-invalid', `${path}:${line}: ${syntax.message}`);
  }
  const parsed = schema.safeParse(plainOf(document, path));
  if (!parsed.success) {
    const issues = parsed.error.issues.map((issue) => {
      const node = document.getIn(issue.path, true) as { range?: [number] } | undefined;
      const line = node?.range ? `:${lines.linePos(node.range[0]).line}` : '';
      return `${path}${line}: ${issue.path.join('.') || 'file'}: ${issue.message}`;
    });
    throw new PanoramixError('config-invalid', issues.join('; '));
  }
  const config = parsed.data;
  const folder = dirname(path);
  const dataDir = resolve(folder, config.data_dir);
  return {
    ...config,
    data_dir: dataDir,
    ...(config.tls_ca && { tls_ca: resolve(folder, config.tls_ca) }),
    ...(config.controller && {
      controller: {
        ...config.controller,
        ...(config.controller.mixnet_file && {
          mixnet_file: resolve(folder, config.controller.mixnet_file),
        }),
        ...(config.controller.tls && {
          tls: {
            cert: resolve(folder, config.controller.tls.cert),
            key: resolve(folder, config.controller.tls.key),
          },
        }),
      },
    }),
    ...(config.gateway?.exit.opt_out_file && {
      gateway: {
        ...config.gateway,
        exit: {
          ...config.gateway.exit,
          opt_out_file: resolve(folder, config.gateway.exit.opt_out_file),
        },
      },
    }),
    ...(config.node && {
      node: { ...config.node, mixnet_file: resolve(dataDir, config.node.mixnet_file) },
    }),
  };
}

/** The values of a document: an alias without its anchor, or aliases of aliases without end, show only here. */
function plainOf(document: Document, path: string): unknown {
  try {
    return document.toJS();
  } catch (error) {
    throw new PanoramixError('config-invalid', `${path}: ${wordsOf(error)}`, error);
  }
}

/** The part of the file that a role needs, or `config-invalid` naming what is missing. */
export function section<Key extends 'controller' | 'node' | 'mixnet' | 'gateway'>(
  config: Config,
  key: Key,
): NonNullable<Config[Key]> {
  const part = config[key];
  if (!part) {
    throw new PanoramixError('config-invalid', `the section "${key}:" is missing`);
  }
  return part;
}

/** Whether an address is reachable from this host only. */
export function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === '::1' || host === 'localhost';
}
