/**
 * Requests per source address. Who connects directly is known by his address; behind a proxy that the
 * operator has named, by what that proxy says of him. Nobody else's X-Forwarded-For counts.
 */
import { isIPv4, isIPv6 } from 'node:net';
import type { Context, Middleware } from 'koa';
import { PanoramixError } from '../../src/errors.ts';
import type { Throttle } from '../limits.ts';

/** 429 `address-too-fast`. Programs on this host, which connect over loopback, are not limited. */
export function addresses(throttle: Throttle, trustedProxies: readonly string[]): Middleware {
  const trusted = new Set(trustedProxies.map(plain));
  return async (ctx, next) => {
    const source = sourceOf(ctx, trusted);
    if (source !== null && !throttle.allowsAddress(source)) {
      throw new PanoramixError('address-too-fast', 'requests of one address');
    }
    await next();
  };
}

/** Whom a request is counted for; null for this host itself. */
function sourceOf(ctx: Context, trusted: ReadonlySet<string>): string | null {
  const peer = plain(ctx.req.socket.remoteAddress ?? '');
  if (!trusted.has(peer)) return isLoopback(peer) ? null : networkOf(peer);
  // Each proxy adds whom it was asked by at the end, so what stands before a stranger's address is his.
  const chain = ctx
    .get('X-Forwarded-For')
    .split(',')
    .map((part) => plain(part.trim()));
  return networkOf(chain.findLast((address) => !trusted.has(address)) || peer);
}

/** IPv4 in its own spelling, without what a dual-stack socket puts before it. */
export function plain(address: string): string {
  return address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, '');
}

/** Whether an address, as `plain` writes it, is this host's own. */
export function isLoopback(address: string): boolean {
  return address === '::1' || (isIPv4(address) && address.startsWith('127.'));
}

/** Of IPv6 the first four groups. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address.slice(0, 64);
  const [before = '', after] = address.split('::');
  const head = before === '' ? [] : before.split(':');
  const tail = after === undefined || after === '' ? [] : after.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - head.length - tail.length) }, () => '0');
  return [...head, ...zeros, ...tail].slice(0, 4).join(':');
}
