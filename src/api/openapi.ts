/**
 * The OpenAPI 3.1 document of the API, made from the schemas that the controller checks with and the
 * client reads with, so that it cannot say anything else.
 */
import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../errors.ts';
import {
  BODY_REASONS,
  COMMON_REASONS,
  CONSENSUS_REASONS,
  type Operation,
  OPERATIONS,
  READING_REASONS,
} from './operations.ts';
import { problemDocument, PROBLEM_TYPE } from './problem.ts';
import { byConsensus, requestInfo, requestMeta } from './signed.ts';

type Json = Record<string, unknown>;

/** The document, as JSON. */
export function openApiDocument(): Json {
  const paths: Record<string, Json> = {};
  for (const operation of OPERATIONS) {
    for (const path of [operation.path, ...(operation.also ?? [])]) {
      (paths[path] ??= {})[operation.method] = describe(operation, path);
    }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Panoramix controller',
      version: '1',
      description:
        'D4.2 section 6: negotiations, peers, endpoints and messages of mixnets. Bodies are signed with Ed25519 over ' +
        'the canonical JSON (RFC 8785) of the request without `meta.signature`; readers sign by RFC 9421. ' +
        'Each path is also served with a slash at its end.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      schemas: {
        Info: received(requestInfo),
        ByConsensus: received(byConsensus),
        Meta: received(requestMeta),
        Problem: answered(problemDocument),
      },
      securitySchemes: {
        HttpMessageSignature: {
          type: 'apiKey',
          in: 'header',
          name: 'Signature',
          description:
            'RFC 9421, with Signature-Input: Ed25519 over @method, @authority, @path and @query, with created, keyid ' +
            '(the public key in hex) and tag="panoramix".',
        },
      },
    },
  };
}

function describe(operation: Operation, path: string): Json {
  const { summary, section, body, document, query, signedReading } = operation;
  const name = path.replaceAll(/[{}]/g, '').split(/[/.]/).filter(Boolean).join('-');
  const parameters = [
    ...(path.includes('{id}') ? [pathParameter()] : []),
    ...(query === undefined ? [] : queryParameters(query)),
  ];
  return {
    operationId: `${operation.method}-${name}`,
    summary: section === undefined ? summary : `${summary} (D4.2 §${section})`,
    ...(parameters.length > 0 && { parameters }),
    ...(body !== undefined && { requestBody: signedBody(body) }),
    ...(document !== undefined && {
      requestBody: {
        required: true,
        content: { 'application/json': { schema: received(document) } },
      },
    }),
    ...(signedReading !== undefined && {
      security: [{ HttpMessageSignature: [] }, ...(signedReading === 'may' ? [{}] : [])],
    }),
    responses: { ...successes(operation), ...refusals(operation) },
  };
}

function pathParameter(): Json {
  return { name: 'id', in: 'path', required: true, schema: { type: 'string' } };
}

function queryParameters(query: z.ZodObject): Json[] {
  // Query parameters are text; what they are read as is what matters to who writes them.
  const { properties = {}, required = [] } = answered(query) as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: 'query',
    required: required.includes(name) && schema['default'] === undefined,
    schema,
  }));
}

function signedBody(body: NonNullable<Operation['body']>): Json {
  const { data, resource, operation, byConsensus: decided = false } = body;
  const properties = {
    data: received(data),
    info: {
      allOf: [
        { $ref: '#/components/schemas/Info' },
        { properties: { resource: { const: resource }, operation: { const: operation } } },
      ],
    },
    ...(decided && { by_consensus: { $ref: '#/components/schemas/ByConsensus' } }),
    meta: { $ref: '#/components/schemas/Meta' },
  };
  const schema = {
    type: 'object',
    properties,
    required: Object.keys(properties),
    additionalProperties: false,
  };
  return { required: true, content: { 'application/json': { schema } } };
}

function successes({ answers }: Operation): Record<string, Json> {
  return Object.fromEntries(
    answers.map(([status, schema]): [string, Json] => [
      String(status),
      schema === null
        ? { description: status === 302 ? 'Elsewhere' : 'Done' }
        : {
            description: status === 201 ? 'Created' : 'Done',
            content: { 'application/json': { schema: answered(schema) } },
          },
    ]),
  );
}

/** By status, each with the reasons that its problem document may name. */
function refusals(operation: Operation): Record<string, Json> {
  const reasons = new Set<ErrorCode>([
    ...operation.reasons,
    ...(operation.body ? BODY_REASONS : []),
    ...(operation.body?.byConsensus ? CONSENSUS_REASONS : []),
    ...(operation.signedReading ? READING_REASONS : []),
    ...COMMON_REASONS,
  ]);
  const byStatus = new Map<number, ErrorCode[]>();
  for (const reason of reasons) {
    const status: number = ERRORS[reason].http;
    byStatus.set(status, [...(byStatus.get(status) ?? []), reason]);
  }
  return Object.fromEntries(
    [...byStatus]
      .toSorted(([left], [right]) => left - right)
      .map(([status, list]): [string, Json] => [
        String(status),
        {
          description: list.toSorted().join(', '),
          content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      ]),
  );
}

/** A schema of what we are sent: strict. */
function received(schema: z.ZodType): Json {
  return withoutDialect(z.toJSONSchema(schema, { io: 'input' }));
}

/** A schema of what we answer: later versions may add fields. */
function answered(schema: z.ZodType): Json {
  return withoutDialect(
    z.toJSONSchema(schema, {
      io: 'output',
      override: ({ jsonSchema }) => {
        if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
      },
    }),
  );
}

function withoutDialect(schema: object): Json {
  const { $schema: _, ...rest } = schema as Json;
  return rest;
}
