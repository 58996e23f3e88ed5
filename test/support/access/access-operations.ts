/** GraphQL operations of workspace administration, and the types of their results. */
export const CREATE_KEY = `mutation ($input: CreateApiKeyInput!) {
  createApiKey(input: $input) { apiKey { ...Key } secret userErrors { code message field } }
}
fragment Key on ApiKey {
  id name prefix lastFour scopes createdAt expiresAt revokedAt lastUsedAt
  limits { requestsPerMinute generationsPerMinute generationsInFlight connections }
}`;
export const REVOKE_KEY = `mutation ($id: ID!) {
  revokeApiKey(input: { id: $id }) { apiKey { id revokedAt } userErrors { code message field } }
}`;
export const ROTATE_KEY = `mutation ($id: ID!, $gracePeriodSeconds: Int) {
  rotateApiKey(input: { id: $id, gracePeriodSeconds: $gracePeriodSeconds }) {
    apiKey { id name scopes expiresAt limits { connections } } secret userErrors { code message field }
  }
}`;
export const CREATE_WORKSPACE = `mutation ($name: String!, $scopes: [String!]!) {
  createWorkspace(input: { name: $name, scopes: $scopes }) {
    workspace { id name createdAt } apiKey { id name scopes } secret userErrors { code message field }
  }
}`;
export const LIST_KEYS = `query ($first: Int = 100, $after: String) {
  apiKeys(first: $first, after: $after) {
    nodes { id name prefix lastFour scopes expiresAt revokedAt lastUsedAt }
    pageInfo { hasNextPage endCursor }
  }
}`;
export const VIEWER = '{ viewer { workspaceId workspaceName keyId keyName scopes } }';
export const AUDIT_LOG = `query ($first: Int = 100, $after: String, $filter: AuditFilter) {
  auditLog(first: $first, after: $after, filter: $filter) {
    nodes { id at action actor keyId endUserId clientAddress targetId data }
    pageInfo { hasNextPage endCursor }
  }
}`;

export interface ApiKeyFields {
  id: string;
  name: string;
  prefix: string;
  lastFour: string | null;
  scopes: string[];
  expiresAt: string | null;
  revokedAt: string | null;
  lastUsedAt: string | null;
}
export interface WithUserErrors {
  userErrors: { code: string; message: string; field: string[] | null }[];
}
export type CreatedKey = WithUserErrors & { apiKey: ApiKeyFields; secret: string };
export interface Page<Node> {
  nodes: Node[];
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
}
export interface AuditEntryFields {
  id: string;
  at: string;
  action: string;
  actor: string;
  keyId: string | null;
  endUserId: string | null;
  clientAddress: string | null;
  targetId: string | null;
  data: Record<string, unknown>;
}
export interface ViewerFields {
  workspaceId: string;
  workspaceName: string;
  keyId: string;
  keyName: string;
  scopes: string[];
}
