import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { Signer } from '../../../src/core/access/signer.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { ApiKeyRepository } from '../../../src/db/access/api-key-repository.js';
import { AuditRepository } from '../../../src/db/access/audit-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { Access } from '../../../src/services/access/access.js';
import { ApiKeyUsage } from '../../../src/services/access/api-key-usage.js';
import { AuthenticationFailures } from '../../../src/services/access/authentication-failures.js';
import { TokenSigning } from '../../../src/services/access/token-signing.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const log = pino({ level: 'silent' });
/** As many as a token may hold. The claims of a token take more than 7.5 kB then. */
const TASK_IDS = Array.from({ length: 100 }, newId);
/** Their claims take more than 16 MB. */
const TOO_MANY_TOKENS = 2_200;

let database: TestDatabase;
let db: Database;
let tokenSigning: TokenSigning;
let apiKeyUsage: ApiKeyUsage;
let authenticationFailures: AuthenticationFailures;
let access: Access;
beforeAll(async () => {
  database = await createTestDatabase();
  db = new Database({ url: database.url, maxConnections: 4, log });
  const apiKeys = new ApiKeyRepository(db);
  tokenSigning = await TokenSigning.create(new Signer(Buffer.alloc(32)), 'darkroom');
  apiKeyUsage = new ApiKeyUsage({ apiKeys, log });
  authenticationFailures = new AuthenticationFailures({ auditLog: new AuditRepository(db), log });
  const shared = { apiKeys, tokenSigning, apiKeyUsage, authenticationFailures };
  access = new Access({ ...shared, identityProvider: null });
});
afterEach(() => {
  jest.restoreAllMocks();
});
afterAll(async () => {
  await apiKeyUsage.stop();
  await authenticationFailures.stop();
  await db.close();
  await database.drop();
});

// Enforces MAX_VERIFIED_TOKEN_BYTES in src/services/access/access.ts.
test('a client token is verified once, and again when it was not used for longest of those that take 16 MB', async () => {
  const { keyId, workspaceId } = await access.authenticate(`Bearer ${await access.createFirstKey()}`);
  const claims = { keyId, workspaceId, scopes: [], endUserId: null, taskIds: TASK_IDS, limits: {} };
  const issuedAt = new Date();
  const expiresAt = new Date(issuedAt.getTime() + 3_600_000);
  const sign = () => tokenSigning.sign({ ...claims, id: newId(), issuedAt, expiresAt });
  const verify = jest.spyOn(tokenSigning, 'verify');
  const timesVerified = async (token: string, { uses }: { uses: number }) => {
    verify.mockClear();
    for (let n = 0; n < uses; n += 1) await access.authenticate(`Bearer ${token}`);
    return verify.mock.calls.length;
  };
  const [first, often] = [await sign(), await sign()];
  expect(await timesVerified(first, { uses: 2 })).toBe(1);
  expect(await timesVerified(often, { uses: 2 })).toBe(1);
  for (let n = 0; n < TOO_MANY_TOKENS; n += 1) {
    expect(await timesVerified(await sign(), { uses: 1 })).toBe(1);
    if (n % 1_000 === 0) await access.authenticate(`Bearer ${often}`);
  }
  expect(await timesVerified(often, { uses: 1 })).toBe(0);
  expect(await timesVerified(first, { uses: 1 })).toBe(1);
}, 90_000);
