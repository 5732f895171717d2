import test from 'ava';
import { returnDomainOf } from '../../src/cli/filters.ts';
import { parseConfig, section } from '../../src/config.ts';

const settings = (exit: string) =>
  section(
    parseConfig(
      `name: a\ndata_dir: d\ngateway: { hostname: mx.own.example, exit: ${exit} }\n`,
      '/a',
    ),
    'gateway',
  );

test('an exit that also delivered to others’ domains had its bounces go there in the clear', (t) => {
  const wider = settings('{ domains: [bank.example] }');
  t.is(returnDomainOf(wider, []), 'mx.own.example');
  t.is(returnDomainOf(wider, ['own.example', 'other.example']), 'own.example');
  const named = settings('{ domains: [bank.example], return_domain: bounces.own.example }');
  t.is(returnDomainOf(named, ['own.example']), 'bounces.own.example');
});
