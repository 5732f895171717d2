/**
 * `npm run audit`: whether a dependency of package-lock.json has a known hole. Each finding is put right, or
 * explained in `EXPLAINED`. A registry that gives no answer is said, and is no failure: nobody is held up by it.
 */
import { spawnSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';

/** Advisories that do not concern us: their URL's last part, such as `GHSA-xxxx-xxxx-xxxx`, and why. */
const EXPLAINED: Readonly<Record<string, string>> = {};

/** Of the answer of `npm audit --json`, version 2, what is looked at; `via` names packages between, too. */
const report = z.object({
  auditReportVersion: z.literal(2),
  vulnerabilities: z.record(
    z.string(),
    z.object({
      via: z.array(
        z.union([
          z.string(),
          z.object({ title: z.string(), url: z.string(), severity: z.string() }),
        ]),
      ),
    }),
  ),
});

/** What the answer comes to. */
export type Verdict =
  | { readonly kind: 'clean'; readonly explained: readonly string[] }
  | { readonly kind: 'holes'; readonly holes: readonly string[] }
  | { readonly kind: 'no-answer' };

/** Reads the answer of `npm audit --json`. */
export function verdictOf(
  answer: string,
  explained: Readonly<Record<string, string>> = EXPLAINED,
): Verdict {
  const parsed = report.safeParse(jsonOrNull(answer));
  if (!parsed.success) return { kind: 'no-answer' };
  const found = new Map<string, string>();
  for (const [name, { via }] of Object.entries(parsed.data.vulnerabilities)) {
    for (const each of via) {
      if (typeof each === 'string') continue;
      found.set(idOf(each.url), `${name}: ${each.title} (${each.severity}) ${each.url}`);
    }
  }
  const holes = [...found].filter(([id]) => explained[id] === undefined).map(([, text]) => text);
  if (holes.length > 0) return { kind: 'holes', holes };
  return { kind: 'clean', explained: [...found.keys()].map((id) => `${id}: ${explained[id]}`) };
}

function idOf(url: string): string {
  return url.slice(url.lastIndexOf('/') + 1);
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function main(): number {
  const { stdout } = spawnSync('npm', ['audit', '--json'], { encoding: 'utf8', timeout: 60_000 });
  const verdict = verdictOf(stdout ?? '');
  if (verdict.kind === 'no-answer') {
    process.stdout.write('audit: not checked, the registry gives no answer\n');
    return 0;
  }
  const lines = verdict.kind === 'holes' ? verdict.holes : verdict.explained;
  for (const line of lines) process.stdout.write(`audit: ${line}\n`);
  process.stdout.write(verdict.kind === 'clean' ? 'audit: no hole that concerns us\n' : '');
  return verdict.kind === 'clean' ? 0 : 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.exitCode = main();
