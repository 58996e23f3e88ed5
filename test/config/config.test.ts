import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Config, readConfig } from '../../src/config/config.js';
import { type Environment } from '../../src/config/secret-files.js';
import { VARIABLES } from '../../src/config/variables.js';
import { ConfigInvalid } from '../../src/core/errors.js';
import { keepSecretKey } from '../../src/config/secret-key.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-config-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The lines of the complaint about this environment, without the first. */
function faultsOf(environment: Environment): string[] {
  try {
    readConfig(environment);
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error;
    const [title, ...faults] = error.message.split('\n');
    expect(title).toBe('The configuration cannot be used:');
    return faults.map((fault) => fault.trim());
  }
  return [];
}

describe('the configuration', () => {
  test('has a default for everything: the sandbox, the embedded Postgres, and nobody from outside', () => {
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
        concurrency: 24,
      },
      roles: { api: true, worker: true },
      secretKey: null,
      oldSecretKeys: [],
      images: {
        s3: null,
        maxBytes: 52_428_800,
        linkSeconds: null,
        retentionDays: null,
        allowPrivateHosts: [],
      },
      push: { bufferEvents: 1_000, replayDays: 30, connectionsPerKey: 20_000, allowedOrigins: null },
      oidc: null,
      trustedProxies: 0,
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
        operationsPerRequest: 1,
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

  test('takes every value that it is given', () => {
    const secretKey = 's'.repeat(32);
    expect(
      readConfig({
        HOST: '0.0.0.0',
        PORT: '0',
        PUBLIC_URL: 'https://pictures.example.com/base/',
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
      publicUrl: 'https://pictures.example.com/base',
      databaseUrl: 'postgres://user:pw@db:5432/darkroom',
      dataDir: '/var/lib/darkroom',
      flux: { baseUrl: 'http://127.0.0.1:4100', token: 'token', mode: 'wait', editAction: 'edit' },
      roles: { api: false, worker: true },
      secretKey: Buffer.from(secretKey),
      logLevel: 'debug',
    });
  });

  test('tells all its faults at once, and repeats no secret', () => {
    const faults = faultsOf({
      PORT: '65536',
      PUBLIC_URL: 'pictures.example.com',
      DATABASE_URL: 'mysql://root:hunter2@db/x',
      FLUX_BASE_URL: 'ftp://x',
      FLUX_MODE: 'polling',
      FLUX_EDIT_ACTION: 'change',
      ROLES: 'api,cook',
      SECRET_KEY: 'short-secret',
      LOG_LEVEL: 'loud',
    });
    expect(faults.map((fault) => fault.split(':')[0])).toEqual([
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
    expect(faults.join('\n')).not.toMatch(/hunter2|short-secret/);
    for (const fault of faults) expect(fault).toMatch(/: must /);
  });

  test.each(['-1', '1.5', 'http', '65536'])('refuses %s for a port', (PORT) => {
    expect(faultsOf({ PORT })).toEqual([expect.stringMatching(/^PORT: /)]);
  });

  test('refuses a price file that is not there or cannot be used, with the line of each fault', async () => {
    const file = join(folder, 'prices.json');
    expect(faultsOf({ PRICES_FILE: file })).toEqual([`PRICES_FILE: ${file} cannot be read (ENOENT)`]);
    const entry = { model: 'flux-dev', perImage: -1, currency: 'USD', validFrom: '2026-01-01' };
    await writeFile(file, `{ "prices": [\n${JSON.stringify(entry)}\n] }`);
    expect(faultsOf({ PRICES_FILE: file, PORT: '-1' })).toEqual([
      expect.stringMatching(/^PORT: /),
      expect.stringContaining(`PRICES_FILE: ${file} line 2: perImage must be a decimal number as text`),
    ]);
  });

  test('takes limits as a list of names and numbers, and refuses others', () => {
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
    ])
      expect(faultsOf({ LIMITS_PER_END_USER: text })).toEqual([
        expect.stringMatching(/^LIMITS_PER_END_USER: must be none, or limits such as /),
      ]);
  });

  test('shows an IDE where the sandbox is, unless the operator says otherwise', () => {
    const ideWith = (environment: Environment) => readConfig(environment).graphql.ide;
    expect([{}, { GRAPHQL_IDE: 'off' }].map(ideWith)).toEqual([true, false]);
    const FLUX_API_TOKEN = 'token';
    expect([{ FLUX_API_TOKEN }, { FLUX_API_TOKEN, GRAPHQL_IDE: 'on' }].map(ideWith)).toEqual([false, true]);
  });

  test('limits end users from the start, and nobody else, until the operator says none', () => {
    const byDefault = { requestsPerMinute: 600, generationsPerMinute: 30, connections: 20 };
    expect(readConfig({}).limits).toEqual({ key: {}, endUser: byDefault, workspace: {} });
    const none = { LIMITS_PER_KEY: 'none', LIMITS_PER_END_USER: 'none', LIMITS_PER_WORKSPACE: 'none' };
    expect(readConfig(none).limits).toEqual({ key: {}, endUser: {}, workspace: {} });
  });

  test('takes an empty variable for an absent one', () => {
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
  ])('chooses how results come back by who can reach us: %j gives %s', (environment, mode) => {
    expect(readConfig(environment).flux.mode).toBe(mode);
  });

  test('refuses to wait for callbacks that cannot arrive', () => {
    const environment = { FLUX_API_TOKEN: 'token', FLUX_MODE: 'callback' };
    expect(faultsOf(environment)).toEqual([expect.stringMatching(/^PUBLIC_URL: FLUX_MODE=callback needs /)]);
    expect(faultsOf({ ...environment, PUBLIC_URL: 'https://a.b' })).toEqual([]);
  });
});

describe('a secret in a file', () => {
  test.each([
    ['DATABASE_URL', 'postgresql://user:pw@db/x', (config: Config) => config.databaseUrl],
    ['FLUX_API_TOKEN', 'a-token', (config: Config) => config.flux.token],
    ['SECRET_KEY', 'k'.repeat(40), (config: Config) => config.secretKey?.toString()],
  ])('is read for %s, without the line feed at its end', async (name, value, read) => {
    const path = join(folder, name);
    await writeFile(path, `${value}\n`);
    expect(read(readConfig({ [`${name}_FILE`]: path }))).toBe(value);
    expect(faultsOf({ [`${name}_FILE`]: path, [name]: value })).toEqual([
      `${name}: is set, and ${name}_FILE too; keep one of them`,
    ]);
  });

  test('that cannot be read is a fault that names the file and the reason', () => {
    const path = join(folder, 'missing');
    expect(faultsOf({ FLUX_API_TOKEN_FILE: path })).toEqual([
      `FLUX_API_TOKEN_FILE: ${path} cannot be read (ENOENT)`,
    ]);
  });
});

describe('.env.example', () => {
  const path = new URL('../../.env.example', import.meta.url);

  test('names every variable, and no other', () => {
    const known = Object.keys(VARIABLES.shape);
    expect(known).toContain('DATABASE_URL');
    const named = [...readFileSync(path, 'utf8').matchAll(/^#? ?([A-Z][A-Z0-9_]+)=/gm)].map(
      ([, name]) => name ?? '',
    );
    const ofFiles = known.map((name) => `${name}_FILE`);
    expect(known.filter((name) => !named.includes(name))).toEqual([]);
    expect(named.filter((name) => !known.includes(name) && !ofFiles.includes(name))).toEqual([]);
  });
});

describe('the secret key of an installation', () => {
  test('is made once, kept, and readable by its owner alone', async () => {
    const dataDir = join(folder, 'new', 'data');
    const keys = await Promise.all(Array.from({ length: 5 }, () => keepSecretKey(dataDir)));
    expect(keys[0]).toHaveLength(32);
    for (const key of keys) expect(key).toEqual(keys[0]);
    expect((await stat(join(dataDir, 'secret-key'))).mode & 0o777).toBe(0o600);
    await expect(keepSecretKey(dataDir)).resolves.toEqual(keys[0]);
    const text = await readFile(join(dataDir, 'secret-key'), 'utf8');
    expect(Buffer.from(text.trim(), 'base64')).toEqual(keys[0]);
  });

  test('is never seen half written, also by instances that start at the same moment', async () => {
    for (let round = 0; round < 100; round += 1) {
      const dataDir = join(folder, 'rounds', String(round));
      const keys = await Promise.all(Array.from({ length: 8 }, () => keepSecretKey(dataDir)));
      expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(1);
      await expect(readdir(dataDir)).resolves.toEqual(['secret-key']);
    }
  });

  test.each(['', 'short', 'AAAA'])('that is damaged is refused, and stays as it is: "%s"', async (text) => {
    const dataDir = await mkdtemp(join(folder, 'damaged-'));
    await writeFile(join(dataDir, 'secret-key'), text);
    await expect(keepSecretKey(dataDir)).rejects.toThrow(ConfigInvalid);
    await expect(readFile(join(dataDir, 'secret-key'), 'utf8')).resolves.toBe(text);
  });

  test('is another one in another data directory', async () => {
    await mkdir(join(folder, 'other'));
    const [first, second] = [
      await keepSecretKey(join(folder, 'a')),
      await keepSecretKey(join(folder, 'other')),
    ];
    expect(first).not.toEqual(second);
  });
});
