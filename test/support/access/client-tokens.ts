import { Signer } from '../../../src/core/access/signer.js';
import { type TokenClaims, TokenSigning } from '../../../src/services/access/token-signing.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type TestApp } from '../app/test-app.js';
import { queryField } from '../app/graphql-request.js';
import { type WithUserErrors, VIEWER, type ViewerFields } from './access-operations.js';

/** Shared by the instances of a test, so that the test can sign tokens that they accept. */
export const SECRET_KEY = 'a-secret-key-that-only-tests-know-for-tokens';
export const CREATE_CLIENT_TOKEN = `mutation ($input: CreateClientTokenInput!) {
  createClientToken(input: $input) { token expiresAt userErrors { code message field } }
}`;

export type CreatedToken = WithUserErrors & { token: string; expiresAt: string };

export function createClientToken(app: TestApp, input: object, key = app.apiKey): Promise<CreatedToken> {
  return queryField<CreatedToken>(
    app,
    CREATE_CLIENT_TOKEN,
    { input: { scopes: ['tasks:read'], ...input } },
    key,
  );
}

/** Signs tokens as the service does. */
export const tokenSigning = await TokenSigning.create(new Signer(Buffer.from(SECRET_KEY)), 'darkroom');

/** Claims of a valid token of the app's first API key, changed by `overrides`. */
export async function buildClaims(app: TestApp, overrides: Partial<TokenClaims> = {}): Promise<TokenClaims> {
  const { keyId, workspaceId } = await queryField<ViewerFields>(app, VIEWER);
  return {
    id: newId(),
    keyId,
    workspaceId,
    scopes: ['tasks:read'],
    endUserId: null,
    taskIds: null,
    limits: {},
    issuedAt: new Date(),
    expiresAt: new Date(Date.now() + 60_000),
    ...overrides,
  };
}
