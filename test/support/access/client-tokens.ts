import { Signer } from '../../../src/core/access/signer.js';
import { type TokenClaims, TokenSigning } from '../../../src/services/access/token-signing.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type TestApp } from '../app/test-app.js';
import { answerOf } from '../app/graphql-request.js';
import { type UserErrors, VIEWER, type ViewerView } from './access-operations.js';

/** Shared by the instances of a test, so that it can sign what they believe. */
export const SECRET_KEY = 'a-secret-key-that-only-tests-know-for-tokens';
export const CREATE_TOKEN = `mutation ($input: CreateClientTokenInput!) {
  createClientToken(input: $input) { token expiresAt userErrors { code message field } }
}`;

export type MadeToken = UserErrors & { token: string; expiresAt: string };

export function createToken(app: TestApp, input: object, key = app.key): Promise<MadeToken> {
  return answerOf<MadeToken>(app, CREATE_TOKEN, { input: { scopes: ['tasks:read'], ...input } }, key);
}

/** Signs as the service does. */
export const signing = new TokenSigning(new Signer(Buffer.from(SECRET_KEY)), 'darkroom');

/** What a token of the app's key says, but for what the test says. */
export async function claimsOf(app: TestApp, facts: Partial<TokenClaims> = {}): Promise<TokenClaims> {
  const { keyId, workspaceId } = await answerOf<ViewerView>(app, VIEWER);
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
    ...facts,
  };
}
