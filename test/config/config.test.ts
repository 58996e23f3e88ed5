import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Config, readConfig } from '../../src/config/config.js';
import { type Environment, SECRET_VARIABLES } from '../../src/config/secret-files.js';
import { environmentSchema } from '../../src/config/variables.js';
import { ConfigInvalid } from '../../src/core/errors.js';
import { MAX_LIMIT } from '../../src/core/limits/limits.js';
import { loadOrCreateSecretKey } from '../../src/config/secret-key.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-config-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The errors that the configuration reports for an environment. */
function errorsOf(environment: Environment): string[] {
  try {
    readConfig(environment);
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error;
    const [title, ...lines] = error.message.split('\n');
    expect(title).toBe('The configuration is invalid:');
    return lines.map((line) => line.trim());
  }
  return [];
}

describe('the configuration', () => {
  test('has a default for everything: the sandbox, the embedded PostgreSQL and a local address', () => {
    const defaults: Config = {
      host: '127.0.0.1',
      port: 4000,
      publicUrl: null,
      databaseUrl: null,
      dataDir: resolve('.data'),
      flux: {
        baseUrl: 'https://api.acedata.cloud',
        token: null,
        mode: 'callback',
        editAction: null,
        maxConcurrentSubmissions: 24,
      },
      roles: { api: true, worker: true },
      secretKey: null,
      previousSecretKeys: [],
      images: {
        s3: null,
        maxBytes: 52_428_800,
        linkTtlSeconds: null,
        retentionDays: null,
        allowPrivateHosts: [],
      },
      push: { maxBufferedEvents: 1_000, replayDays: 30, maxConnectionsPerKey: 20_000, allowedOrigins: null },
      proxy: { https: null, http: null, exceptions: [] },
      oidc: null,
      trustedProxyCount: 0,
      graphql: {
        limits: {
          tokens: 2_000,
          depth: 15,
          aliases: 30,
          directives: 30,
          rootFields: 20,
          listSize: 1_000,
          cost: 10_000,
        },
        introspection: true,
        ide: true,
        maxOperationsPerRequest: 1,
      },
      limits: {
        key: {},
        endUser: { requestsPerMinute: 600, generationsPerMinute: 30, connections: 20 },
        workspace: {},
      },
      callbackRetentionDays: 30,
      prices: [],
      logLevel: 'info',
    };
    expect(readConfig({})).toMatchObject({ ...defaults });
  });

  test('reads every value', () => {
    const secretKey = 's'.repeat(32);
    expect(
      readConfig({
        HOST: '0.0.0.0',
        PORT: '0',
        PUBLIC_URL: 'https://images.example.com/base/',
        DATABASE_URL: 'postgres://user:pw@db:5432/darkroom',
        DATA_DIR: '/var/lib/darkroom',
        FLUX_BASE_URL: 'http://127.0.0.1:4100//',
        FLUX_API_TOKEN: 'token',
        FLUX_MODE: 'wait',
        FLUX_EDIT_ACTION: 'edit',
        ROLES: ' worker ',
        SECRET_KEY: secretKey,
        LOG_LEVEL: 'debug',
      }),
    ).toMatchObject({
      host: '0.0.0.0',
      port: 0,
      publicUrl: 'https://images.example.com/base',
      databaseUrl: 'postgres://user:pw@db:5432/darkroom',
      dataDir: '/var/lib/darkroom',
      flux: { baseUrl: 'http://127.0.0.1:4100', token: 'token', mode: 'wait', editAction: 'edit' },
      roles: { api: false, worker: true },
      secretKey: Buffer.from(secretKey),
      logLevel: 'debug',
    });
  });

  test('reports every error at once without revealing secrets', () => {
    const errors = errorsOf({
      PORT: '65536',
      PUBLIC_URL: 'images.example.com',
      DATABASE_URL: 'mysql://root:hunter2@db/x',
      FLUX_BASE_URL: 'ftp://x',
      FLUX_MODE: 'polling',
      FLUX_EDIT_ACTION: 'change',
      ROLES: 'api,cook',
      SECRET_KEY: 'short-secret',
      LOG_LEVEL: 'loud',
    });
    expect(errors.map((error) => error.split(':')[0])).toEqual([
      'PORT',
      'PUBLIC_URL',
      'DATABASE_URL',
      'FLUX_BASE_URL',
      'FLUX_MODE',
      'FLUX_EDIT_ACTION',
      'ROLES',
      'SECRET_KEY',
      'LOG_LEVEL',
    ]);
    expect(errors.join('\n')).not.toMatch(/hunter2|short-secret/);
    for (const error of errors) expect(error).toMatch(/: must /);
    expect(errors[0]).toBe('PORT: must be a whole number from 0 to 65535 (value: "65536")');
  });

  test.each(['-1', '1.5', 'http', '65536'])('rejects the port %s', (PORT) => {
    expect(errorsOf({ PORT })).toEqual([expect.stringMatching(/^PORT: /)]);
  });

  test('rejects a missing or invalid price file, with the line of each error', async () => {
    const file = join(folder, 'prices.json');
    expect(errorsOf({ PRICES_FILE: file })).toEqual([`PRICES_FILE: ${file} cannot be read (ENOENT)`]);
    const entry = { model: 'flux-dev', perImage: -1, currency: 'USD', validFrom: '2026-01-01' };
    await writeFile(file, `{ "prices": [\n${JSON.stringify(entry)}\n] }`);
    expect(errorsOf({ PRICES_FILE: file, PORT: '-1' })).toEqual([
      expect.stringMatching(/^PORT: /),
      expect.stringContaining(`PRICES_FILE: ${file} line 2: perImage must be a decimal number as text`),
    ]);
  });

  test('reads limits as a list of names and numbers, and rejects anything else', () => {
    const LIMITS_PER_KEY = 'requestsPerMinute=600, generationsInFlight=20';
    expect(readConfig({ LIMITS_PER_KEY, LIMITS_PER_END_USER: 'connections=3' }).limits).toEqual({
      key: { requestsPerMinute: 600, generationsInFlight: 20 },
      endUser: { connections: 3 },
      workspace: {},
    });
    for (const text of [
      'requests=5',
      'requestsPerMinute',
      'connections=0',
      'connections=x',
      'connections=-1',
      'none, connections=1',
      `connections=${MAX_LIMIT + 1}`,
    ])
      expect(errorsOf({ LIMITS_PER_END_USER: text })).toEqual([
        expect.stringMatching(/^LIMITS_PER_END_USER: must be none, or limits from 1 to 1000000 such as /),
      ]);
  });

  test('shows the IDE by default only with the sandbox', () => {
    const ideWith = (environment: Environment) => readConfig(environment).graphql.ide;
    expect([{}, { GRAPHQL_IDE: 'off' }].map(ideWith)).toEqual([true, false]);
    const FLUX_API_TOKEN = 'token';
    expect([{ FLUX_API_TOKEN }, { FLUX_API_TOKEN, GRAPHQL_IDE: 'on' }].map(ideWith)).toEqual([false, true]);
  });

  test('has default limits for end users only, which `none` removes', () => {
    const endUser = { requestsPerMinute: 600, generationsPerMinute: 30, connections: 20 };
    expect(readConfig({}).limits).toEqual({ key: {}, endUser, workspace: {} });
    const none = { LIMITS_PER_KEY: 'none', LIMITS_PER_END_USER: 'none', LIMITS_PER_WORKSPACE: 'none' };
    expect(readConfig(none).limits).toEqual({ key: {}, endUser: {}, workspace: {} });
  });

  test('treats an empty variable as absent', () => {
    const empty = Object.fromEntries(
      ['HOST', 'PORT', 'PUBLIC_URL', 'DATABASE_URL', 'FLUX_API_TOKEN', 'SECRET_KEY', 'SECRET_KEY_FILE'].map(
        (name) => [name, ''],
      ),
    );
    expect(readConfig(empty)).toEqual(readConfig({}));
  });

  test.each<[Environment, Config['flux']['mode']]>([
    [{}, 'callback'],
    [{ FLUX_API_TOKEN: 'token' }, 'async'],
    [{ FLUX_API_TOKEN: 'token', PUBLIC_URL: 'https://a.b' }, 'callback'],
    [{ FLUX_API_TOKEN: 'token', FLUX_MODE: 'wait' }, 'wait'],
    [{ FLUX_MODE: 'async' }, 'async'],
  ])(
    'chooses the mode of results by whether the upstream can reach the service: %j gives %s',
    (environment, mode) => {
      expect(readConfig(environment).flux.mode).toBe(mode);
    },
  );

  test('rejects the mode `callback` if the upstream cannot reach the service', () => {
    const environment = { FLUX_API_TOKEN: 'token', FLUX_MODE: 'callback' };
    expect(errorsOf(environment)).toEqual([
      expect.stringMatching(/^PUBLIC_URL: is required for FLUX_MODE=callback/),
    ]);
    expect(errorsOf({ ...environment, PUBLIC_URL: 'https://a.b' })).toEqual([]);
  });
});

describe('a secret in a file', () => {
  test.each<[string, string, (config: Config) => string | null | undefined, Environment?]>([
    ['DATABASE_URL', 'postgresql://user:pw@db/x', (config: Config) => config.databaseUrl],
    ['FLUX_API_TOKEN', 'a-token', (config: Config) => config.flux.token],
    ['SECRET_KEY', 'k'.repeat(40), (config: Config) => config.secretKey?.toString()],
    ['SECRET_KEY_PREVIOUS', 'p'.repeat(40), (config: Config) => config.previousSecretKeys.join()],
    [
      'S3_SECRET_KEY',
      's3-secret',
      (config: Config) => config.images.s3?.secretAccessKey,
      { IMAGE_STORE: 's3', S3_ENDPOINT: 'http://127.0.0.1', S3_BUCKET: 'b', S3_ACCESS_KEY: 'a' },
    ],
  ])('is read for %s, without the trailing line feed', async (name, value, read, environment = {}) => {
    const path = join(folder, name);
    await writeFile(path, `${value}\n`);
    expect(read(readConfig({ ...environment, [`${name}_FILE`]: path }))).toBe(value);
    expect(errorsOf({ ...environment, [`${name}_FILE`]: path, [name]: value })).toEqual([
      `${name}: is set together with ${name}_FILE. Keep one of them`,
    ]);
  });

  test('is reported with its path and the reason if it cannot be read', () => {
    const path = join(folder, 'missing');
    expect(errorsOf({ FLUX_API_TOKEN_FILE: path })).toEqual([
      `FLUX_API_TOKEN_FILE: ${path} cannot be read (ENOENT)`,
    ]);
  });
});

describe('.env.example', () => {
  const path = new URL('../../.env.example', import.meta.url);

  const text = readFileSync(path, 'utf8');

  test('lists every variable, the file variables of the secrets, and nothing else', () => {
    const variables = Object.keys(environmentSchema.shape);
    expect(variables).toContain('DATABASE_URL');
    const listed = [...text.matchAll(/^#? ?([A-Z][A-Z0-9_]+)=/gm)].map(([, name]) => name);
    const fileVariables = SECRET_VARIABLES.map((name) => `${name}_FILE`);
    expect(listed.sort()).toEqual([...variables, ...fileVariables].sort());
  });

  test('names the same secrets with files as SECRET_VARIABLES and docs/CONFIGURATION.md', () => {
    const comment = text.replaceAll(/\n# ?/g, ' ');
    const [, names = ''] = /This works for ([A-Z0-9_, and]+)\./.exec(comment) ?? [];
    expect(names.match(/[A-Z][A-Z0-9_]+/g)?.sort()).toEqual([...SECRET_VARIABLES].sort());
    const page = readFileSync(new URL('../../docs/CONFIGURATION.md', import.meta.url), 'utf8');
    const documented = [...page.matchAll(/`([A-Z0-9_]+)_FILE`/g)]
      .map(([, name = '']) => name)
      .filter((name) => !(`${name}_FILE` in environmentSchema.shape));
    expect(documented.sort()).toEqual([...SECRET_VARIABLES].sort());
  });
});

describe('numbers', () => {
  /** The sentence about a variable that is not a number, or undefined if it need not be one. */
  const rangeOf = (name: string) => {
    const issue = environmentSchema
      .safeParse({ [name]: 'x' })
      .error?.issues.find(({ path }) => path[0] === name);
    return /^must be a whole number.* from (?<min>\d+) to (?<max>\d+)$/.exec(issue?.message ?? '')?.groups;
  };
  const ranges = Object.keys(environmentSchema.shape).flatMap((name) => {
    const { min, max } = rangeOf(name) ?? {};
    return min && max ? [{ name, min, max }] : [];
  });
  const page = readFileSync(new URL('../../docs/CONFIGURATION.md', import.meta.url), 'utf8');

  test('there are some', () => expect(ranges.length).toBeGreaterThan(15));

  test.each(ranges)('$name takes $min to $max, and docs/CONFIGURATION.md says so', ({ name, min, max }) => {
    const isAccepted = (value: number) => environmentSchema.safeParse({ [name]: String(value) }).success;
    expect([Number(min), Number(max), Number(max) + 1].map(isAccepted)).toEqual([true, true, false]);
    const row = page.split('\n').find((line) => line.startsWith(`| \`${name}\``));
    // A port is a port.
    if (name !== 'PORT') expect(row).toContain(`${min} to ${max}`);
  });
});

describe('the secret key of an installation', () => {
  test('is created once, readable only by its owner, and can be moved to SECRET_KEY_PREVIOUS', async () => {
    const dataDir = join(folder, 'new', 'data');
    const keys = await Promise.all(Array.from({ length: 5 }, () => loadOrCreateSecretKey(dataDir)));
    expect(keys[0]).toHaveLength(44);
    for (const key of keys) expect(key).toEqual(keys[0]);
    expect((await stat(join(dataDir, 'secret-key'))).mode & 0o777).toBe(0o600);
    await expect(loadOrCreateSecretKey(dataDir)).resolves.toEqual(keys[0]);
    const text = await readFile(join(dataDir, 'secret-key'), 'utf8');
    const rotated = readConfig({ SECRET_KEY: 'x'.repeat(32), SECRET_KEY_PREVIOUS: text.trim() });
    expect(rotated.previousSecretKeys).toEqual([keys[0]]);
  });

  test('is written atomically, also if several instances start at once', async () => {
    for (let round = 0; round < 100; round += 1) {
      const dataDir = join(folder, 'rounds', String(round));
      const keys = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateSecretKey(dataDir)));
      expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
      await expect(readdir(dataDir)).resolves.toEqual(['secret-key']);
    }
  });

  test.each(['', 'short', 'AAAA'])('is rejected but not overwritten if it is damaged: "%s"', async (text) => {
    const dataDir = await mkdtemp(join(folder, 'damaged-'));
    await writeFile(join(dataDir, 'secret-key'), text);
    await expect(loadOrCreateSecretKey(dataDir)).rejects.toThrow(ConfigInvalid);
    await expect(readFile(join(dataDir, 'secret-key'), 'utf8')).resolves.toBe(text);
  });

  test('differs between data directories', async () => {
    await mkdir(join(folder, 'other'));
    const [first, second] = [
      await loadOrCreateSecretKey(join(folder, 'a')),
      await loadOrCreateSecretKey(join(folder, 'other')),
    ];
    expect(first).not.toEqual(second);
  });
});
