import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from '@jest/globals';
import { readConfig, readDatabaseConfig } from '../../src/config/config.js';
import { type Environment } from '../../src/config/secret-files.js';

const BASE_URL = 'must be an http or https URL, such as https://images.example.com';
const ORIGINS =
  'must be origins such as https://app.example.com, https://*.example.com or capacitor://localhost, separated by commas';
const HOST =
  'must be an IP address or a host name without protocol and port, such as 127.0.0.1. Write 0.0.0.0 or :: for all interfaces, and the port as PORT';
const ONE_TOKEN = 'must be the token alone, without "Authorization:" and "Bearer"';
const DATABASE = 'postgresql://darkroom:pw@db.example:5432/darkroom';
const S3 = { IMAGE_STORE: 's3', S3_ENDPOINT: 'https://s3.example', S3_ACCESS_KEY: 'a', S3_SECRET_KEY: 's' };
const TOKEN = { FLUX_API_TOKEN: 'token' };

/** A variable, what an operator wrote into it, and the sentence that the start fails with. Other variables come last. */
const MISTAKES: readonly [name: string, value: string, sentence: string, others?: Environment][] = [
  ['FLUX_API_TOKEN', '"abc"', 'is in quotes, which are part of the value here. Write it without quotes'],
  ['FLUX_API_TOKEN', "'abc'", 'is in quotes, which are part of the value here. Write it without quotes'],
  ['FLUX_API_TOKEN', '“abc”', 'is in quotes, which are part of the value here. Write it without quotes'],
  ['FLUX_API_TOKEN', 'a"bc', 'must not contain quotes. Write the token alone'],
  ['FLUX_API_TOKEN', 'Bearer abc', ONE_TOKEN],
  ['FLUX_API_TOKEN', 'Authorization: Bearer abc', ONE_TOKEN],
  ['FLUX_API_TOKEN', 'abc\ndef', 'must not contain spaces or line ends. Write the token alone, on one line'],
  ['FLUX_API_TOKEN', 'abc def', 'must not contain spaces or line ends. Write the token alone, on one line'],
  [
    'FLUX_API_TOKEN',
    'abc\u200b',
    'must consist of visible ASCII characters. Copy the token again, without characters before and after it',
  ],
  ['FLUX_API_TOKEN', '${ACEDATA_TOKEN}', 'is a reference that nothing has replaced. Write the value itself'],
  ['FLUX_API_TOKEN', '<your-token>', 'is a placeholder. Write the value itself, without < and >'],
  [
    'FLUX_API_TOKEN',
    'FLUX_API_TOKEN=abc',
    'contains its own name. Write only what follows "FLUX_API_TOKEN="',
  ],
  ['S3_SECRET_KEY', 'a b', 'must not contain spaces or line ends. Write the token alone, on one line'],
  [
    'SECRET_KEY',
    `"${'k'.repeat(40)}"`,
    'is in quotes, which are part of the value here. Write it without quotes',
  ],
  [
    'PUBLIC_URL',
    'https://a.example/?x=1',
    'must not have a query or fragment, because paths are appended to it. Leave out ? and # and what follows',
  ],
  [
    'PUBLIC_URL',
    'https://a.example/#top',
    'must not have a query or fragment, because paths are appended to it. Leave out ? and # and what follows',
  ],
  [
    'PUBLIC_URL',
    'https://user:pw@a.example',
    'must not contain a user name or password. Leave out what is before the @',
  ],
  ['PUBLIC_URL', 'a.example', BASE_URL],
  ['PUBLIC_URL', 'https:/a.example', BASE_URL],
  ['PUBLIC_URL', 'https://*.a.example', `${BASE_URL}, without wildcards and spaces`],
  [
    'PUBLIC_URL',
    'https://a.example/graphql',
    'must be the base URL, to which /graphql and other paths are appended. Write https://a.example',
  ],
  [
    'PUBLIC_URL',
    'http://0.0.0.0:4000',
    'must be an address that browsers and the upstream can reach. 0.0.0.0 and :: are only for HOST',
  ],
  [
    'PUBLIC_URL',
    'http://localhost:4000',
    'must be reachable from the upstream for FLUX_MODE=callback, and this host is private. Set a public URL, or use FLUX_MODE=async',
    { ...TOKEN, FLUX_MODE: 'callback' },
  ],
  [
    'FLUX_BASE_URL',
    'https://api.acedata.cloud/flux/images',
    'must be the base URL, to which /flux/images and /flux/tasks are appended. Write https://api.acedata.cloud',
  ],
  [
    'FLUX_BASE_URL',
    'https://a.example',
    'must not be this service itself (PUBLIC_URL), which would send each request to itself. Set it to the upstream',
    { ...TOKEN, PUBLIC_URL: 'https://A.example:443/' },
  ],
  ['HOST', 'localhost:4000', HOST],
  ['HOST', 'http://0.0.0.0', HOST],
  ['HOST', '*', HOST],
  ['PORT', 'tcp://10.0.0.1:4000', 'must be a whole number from 0 to 65535'],
  ['PORT', '0x10', 'must be a whole number from 0 to 65535'],
  [
    'DATABASE_URL',
    `${DATABASE}?schema=app`,
    'must not have schema=app. Darkroom keeps its tables in the schemas public and graphile_worker of a database of its own. Create one (CREATE DATABASE darkroom), name it in the URL, and leave out schema=',
  ],
  [
    'DATABASE_URL',
    `${DATABASE}?pgbouncer=true`,
    'must not have pgbouncer, which has no effect here. Leave it out. Name PostgreSQL itself, or a pooler in session mode',
  ],
  [
    'DATABASE_URL',
    `${DATABASE}?sslmode=allow`,
    'has an unknown sslmode. Use verify-full, with sslrootcert=/path/to/ca.pem for an authority of your own, or disable',
  ],
  [
    'DATABASE_URL',
    `${DATABASE}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem`,
    'sslrootcert: /nowhere/ca.pem cannot be read (ENOENT). Write the path of a PEM file',
  ],
  [
    'DATABASE_URL',
    `${DATABASE}?options=-c%20search_path%3Dapp`,
    'must not set search_path in options, because Darkroom sets it itself. Leave it out',
  ],
  [
    'DATABASE_URL',
    `${DATABASE}?options=-c%20extra_float_digits%3D0`,
    'must not set extra_float_digits in options, because Darkroom sets it itself. Leave it out',
  ],
  [
    'DATABASE_URL',
    `${DATABASE}?options=-c%20client_connection_check_interval%3D0`,
    'must not set client_connection_check_interval in options, because Darkroom sets it itself. Leave it out',
  ],
  [
    'DATABASE_URL',
    'postgresql://darkroom:p%w@db.example/darkroom',
    'has a % that no two hexadecimal digits follow. In a user name or password, write % as %25',
  ],
  [
    'DATABASE_URL',
    'postgresql://darkroom:p#w@db.example/darkroom',
    'must look like postgresql://user:password@host:5432/database. In a user name or password, write # as %23, / as %2F, ? as %3F, @ as %40, : as %3A and % as %25',
  ],
  [
    'DATABASE_URL',
    'mysql://root@db.example/darkroom',
    'must look like postgresql://user:password@host:5432/database',
  ],
  ['DATA_DIR', '~/darkroom', 'must not begin with ~, which only shells replace. Write the whole path'],
  ['DATA_DIR', 's3://bucket', 'must be the path of a folder, not a URL'],
  ['ALLOWED_ORIGINS', '*.example.com', `${ORIGINS}. Instead of *.example.com, write https://*.example.com`],
  [
    'ALLOWED_ORIGINS',
    'https://app.example.com/',
    `${ORIGINS}. Instead of https://app.example.com/, write https://app.example.com`,
  ],
  ['ALLOWED_ORIGINS', '*', 'must not contain *. Without ALLOWED_ORIGINS, every origin is allowed'],
  [
    'ALLOWED_ORIGINS',
    'null',
    'must not contain the origin of files (null), because every sandboxed page of any site has it. Serve the page from a host',
  ],
  ['ALLOWED_ORIGINS', 'http://localhost:*', ORIGINS],
  [
    'ALLOW_PRIVATE_HOSTS',
    '10.0.0.0/8',
    'must be hosts as host or host:port, separated by commas, with IPv6 in brackets. Ranges and URLs are not supported, so name each host',
  ],
  [
    'HTTPS_PROXY',
    'socks5://127.0.0.1:1080',
    'must be the URL of an HTTP proxy, such as http://proxy.example.com:3128. SOCKS proxies are not supported',
  ],
  [
    'NO_PROXY',
    'https://a.example',
    'must be *, or hosts such as example.com, .example.com, example.com:8080, 10.0.0.1 and 10.0.0.0/8, separated by commas',
  ],
  [
    'OIDC_ISSUER',
    'https://id.example/.well-known/openid-configuration',
    'must be the issuer, not its discovery document. Leave out /.well-known/ and what follows',
    { OIDC_AUDIENCE: 'darkroom' },
  ],
  ['S3_BUCKET', 's3://images', 'must be the name of the bucket, without s3:// and slashes', S3],
  ['S3_REGION', 'EU (Frankfurt)', 'must be the code of a region, such as eu-central-1 or auto'],
];

const folder = await mkdtemp(join(tmpdir(), 'darkroom-mistakes-'));
afterAll(() => rm(folder, { recursive: true }));

function sentencesOf(environment: Environment): string[] {
  try {
    readConfig(environment);
  } catch (error) {
    const [first, ...lines] = (error as Error).message.split('\n');
    expect(first).toBe('The configuration is invalid:');
    // Secrets have no value in the sentence.
    return lines.map((line) => line.trim().replace(/ \(value: ".*"\)$/, ''));
  }
  return [];
}

describe('a mistake is refused at the start, with what to write instead', () => {
  test.each(MISTAKES)('%s=%s', (name, value, sentence, others = {}) => {
    expect(sentencesOf({ ...others, [name]: value })).toEqual([`${name}: ${sentence}`]);
  });

  test('and there are more than forty of them', () => expect(MISTAKES.length).toBeGreaterThan(40));

  test('S3_BUCKET without IMAGE_STORE', () => {
    expect(sentencesOf({ S3_BUCKET: 'images' })).toEqual([
      'IMAGE_STORE: is required with S3_BUCKET. Set it to s3 to use the bucket, or to disk',
    ]);
    expect(sentencesOf({ S3_BUCKET: 'images', IMAGE_STORE: 'disk' })).toEqual([]);
  });

  test('in a file', async () => {
    const file = join(folder, 'token');
    const sentence = async (content: string | Buffer) => {
      await writeFile(file, content);
      return sentencesOf({ FLUX_API_TOKEN_FILE: file });
    };
    expect(await sentence('\n')).toEqual([
      `FLUX_API_TOKEN_FILE: ${file} is empty. Write the value into it, or unset FLUX_API_TOKEN_FILE`,
    ]);
    expect(await sentence(Buffer.from('\ufeffabc', 'utf16le'))).toEqual([
      `FLUX_API_TOKEN_FILE: ${file} is not UTF-8 text. Save it as UTF-8`,
    ]);
    expect(await sentence('Bearer abc\n')).toEqual([`FLUX_API_TOKEN: ${ONE_TOKEN}`]);
    expect(await sentence('\ufeffabc\r\n')).toEqual([]);
  });

  test('also by the programs that use only the database', () => {
    expect(() => readDatabaseConfig({ DATABASE_URL: `${DATABASE}?schema=app`, PORT: 'x' })).toThrow(
      'DATABASE_URL: must not have schema=app',
    );
    expect(readDatabaseConfig({ DATABASE_URL: DATABASE, PORT: 'x' }).databaseUrl).toBe(DATABASE);
  });
});

describe('what only looks like a mistake is honored', () => {
  test.each<[string, string, (config: ReturnType<typeof readConfig>) => unknown, unknown]>([
    ['HOST', '[::1]', ({ host }) => host, '::1'],
    ['HOST', '::', ({ host }) => host, '::'],
    ['FLUX_API_TOKEN', ' abc\r\n', ({ flux }) => flux.token, 'abc'],
    ['FLUX_API_TOKEN', 'a+b/c==', ({ flux }) => flux.token, 'a+b/c=='],
    ['PUBLIC_URL', 'HTTPS://A.example:443/base//', ({ publicUrl }) => publicUrl, 'https://a.example/base'],
    [
      'DATABASE_URL',
      `${DATABASE}?schema=public`,
      ({ databaseUrl }) => databaseUrl,
      `${DATABASE}?schema=public`,
    ],
    [
      'DATABASE_URL',
      `${DATABASE}?sslmode=require&channel_binding=require`,
      ({ databaseUrl }) => databaseUrl,
      `${DATABASE}?sslmode=require&channel_binding=require`,
    ],
    ['HTTPS_PROXY', 'proxy.example:3128', ({ proxy }) => proxy.https, 'http://proxy.example:3128/'],
    ['https_proxy', 'http://proxy.example:3128', ({ proxy }) => proxy.https, 'http://proxy.example:3128/'],
    ['no_proxy', 'a.example, 10.0.0.0/8', ({ proxy }) => proxy.exceptions, ['a.example', '10.0.0.0/8']],
  ])('%s=%s', (name, value, read, expected) => {
    expect(read(readConfig({ [name]: value }))).toEqual(expected);
  });
});
