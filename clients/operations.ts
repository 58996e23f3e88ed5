import type { TypedDocumentNode as DocumentNode } from '@graphql-typed-document-node/core';
export type Maybe<T> = T | null;
export type InputMaybe<T> = T | null;
export type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
export type MakeOptional<T, K extends keyof T> = Omit<T, K> & { [SubKey in K]?: Maybe<T[SubKey]> };
export type MakeMaybe<T, K extends keyof T> = Omit<T, K> & { [SubKey in K]: Maybe<T[SubKey]> };
export type MakeEmpty<T extends { [key: string]: unknown }, K extends keyof T> = { [_ in K]?: never };
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
/** All built-in and custom scalars, mapped to their actual values */
export type Scalars = {
  ID: { input: string; output: string; }
  String: { input: string; output: string; }
  Boolean: { input: boolean; output: boolean; }
  Int: { input: number; output: number; }
  Float: { input: number; output: number; }
  /** A date-time string at UTC, such as 2007-12-03T10:15:30Z, compliant with the `date-time` format outlined in section 5.6 of the RFC 3339 profile of the ISO 8601 standard for representation of dates and times using the Gregorian calendar. */
  DateTime: { input: string; output: string; }
  /** The `JSON` scalar type represents JSON values as specified by [ECMA-404](http://www.ecma-international.org/publications/files/ECMA-ST/ECMA-404.pdf). */
  JSON: { input: unknown; output: unknown; }
  /** A field whose value conforms to the standard URL format as specified in RFC3986: https://www.ietf.org/rfc/rfc3986.txt. */
  URL: { input: string; output: string; }
};

/** A key to the workspace. The key itself was shown once, when it was made, and is kept nowhere. */
export type ApiKey = {
  __typename?: 'ApiKey';
  /** When it was made. */
  createdAt: Scalars['DateTime']['output'];
  /** From when it is refused; null: never. */
  expiresAt?: Maybe<Scalars['DateTime']['output']>;
  /** The id of the key; no secret. */
  id: Scalars['ID']['output'];
  /** Its last four characters. */
  lastFour?: Maybe<Scalars['String']['output']>;
  /** When it was used last, to about a minute; null: never. */
  lastUsedAt?: Maybe<Scalars['DateTime']['output']>;
  /** How much of it. */
  limits: Limits;
  /** What people call it: the `actor` of what it causes. */
  name: Scalars['String']['output'];
  /** Its first characters, by which a person recognises it. */
  prefix: Scalars['String']['output'];
  /** When it was revoked; null: it was not. */
  revokedAt?: Maybe<Scalars['DateTime']['output']>;
  /** What it may do, such as "tasks:write". */
  scopes: Array<Scalars['String']['output']>;
};

/** A page of a list, newest first. */
export type ApiKeyConnection = {
  __typename?: 'ApiKeyConnection';
  /** The items with their cursors. */
  edges: Array<ApiKeyEdge>;
  /** The items. */
  nodes: Array<ApiKey>;
  /** Where the page stands. */
  pageInfo: PageInfo;
};

/** One ApiKey and its place in the list. */
export type ApiKeyEdge = {
  __typename?: 'ApiKeyEdge';
  /** Opaque: the place just after this item. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: ApiKey;
};

/** What somebody did that others must be able to read about. */
export type AuditAction =
  /** A budget was set or changed. */
  | 'BUDGET_CHANGED'
  /** A task's result was posted to its callbackUrl again. */
  | 'CALLBACK_REDELIVERED'
  /** A callback of the upstream's was taken again. */
  | 'CALLBACK_REPLAYED'
  /** Somebody took an image away. */
  | 'IMAGE_DELETED'
  /** A key was made; `data` has its name and scopes. */
  | 'KEY_CREATED'
  /** A key was ended. */
  | 'KEY_REVOKED'
  /** A key was given a successor; `data` has its id and the grace time. */
  | 'KEY_ROTATED'
  /** A key or a token was refused, `data.count` times within a minute; `data.kind` says why. Of keys that are nobody's only for callers with workspaces:admin. */
  | 'SIGN_IN_FAILED'
  /** A token for a browser was made; `subject` is its `jti`. */
  | 'TOKEN_ISSUED'
  /** Callbacks are signed with a new secret. */
  | 'WEBHOOK_SECRET_ROTATED'
  /** A workspace was made, by a key of this one. */
  | 'WORKSPACE_CREATED';

/** One use of power. Entries are never changed. */
export type AuditEntry = {
  __typename?: 'AuditEntry';
  /** What was done. */
  action: AuditAction;
  /** By whom: the name of the key. */
  actor: Scalars['String']['output'];
  /** When. */
  at: Scalars['DateTime']['output'];
  /** What else there is to know, by action. No secrets. */
  data: Scalars['JSON']['output'];
  /** By which end user, when the key was a token of one. */
  endUserId?: Maybe<Scalars['String']['output']>;
  /** The id of the entry. */
  id: Scalars['ID']['output'];
  /** With which key; null where there was none. */
  keyId?: Maybe<Scalars['ID']['output']>;
  /** From where: the client's address. */
  source?: Maybe<Scalars['String']['output']>;
  /** The id of what it was done to. */
  subject?: Maybe<Scalars['String']['output']>;
};

/** A page of a list, newest first. */
export type AuditEntryConnection = {
  __typename?: 'AuditEntryConnection';
  /** The items with their cursors. */
  edges: Array<AuditEntryEdge>;
  /** The items. */
  nodes: Array<AuditEntry>;
  /** Where the page stands. */
  pageInfo: PageInfo;
};

/** One AuditEntry and its place in the list. */
export type AuditEntryEdge = {
  __typename?: 'AuditEntryEdge';
  /** Opaque: the place just after this item. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: AuditEntry;
};

/** Which entries. Absent or empty: all of them. */
export type AuditFilter = {
  /** Of these kinds. */
  actions?: InputMaybe<Array<AuditAction>>;
  /** Done with this key. */
  keyId?: InputMaybe<Scalars['ID']['input']>;
  /** At this time or later. */
  since?: InputMaybe<Scalars['DateTime']['input']>;
  /** Before this time. */
  until?: InputMaybe<Scalars['DateTime']['input']>;
};

/** What one month's spending may come to, by UTC, and how it stands. A task counts in the month of its request. Amounts are decimal numbers as text. */
export type Budget = {
  __typename?: 'Budget';
  /** Three letters, as ISO 4217 has them. */
  currency: Scalars['String']['output'];
  /** For tasks that were canceled or expired after they had been sent: the upstream may have billed them, and nobody can know. It becomes `spent` where late pictures come. */
  held: Scalars['String']['output'];
  /** The id of the workspace or the key, or the workspace's own id of its user. */
  id: Scalars['ID']['output'];
  /** What may be spent in a month. */
  limit: Scalars['String']['output'];
  /** YYYY-MM. */
  month: Scalars['String']['output'];
  /** The limit without the other three. Below zero where pictures came late, or more than were asked for, or the limit was lowered. */
  remaining: Scalars['String']['output'];
  /** What tasks that have not ended can cost. */
  reserved: Scalars['String']['output'];
  /** Whose spending it bounds. */
  scope: BudgetScope;
  /** What was delivered has cost. */
  spent: Scalars['String']['output'];
};

/** A page of a list, by scope, then by id. */
export type BudgetConnection = {
  __typename?: 'BudgetConnection';
  /** The items with their cursors. */
  edges: Array<BudgetEdge>;
  /** The items. */
  nodes: Array<Budget>;
  /** Where the page stands. */
  pageInfo: PageInfo;
};

/** One Budget and its place in the list. */
export type BudgetEdge = {
  __typename?: 'BudgetEdge';
  /** Opaque: the place just after this item. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: Budget;
};

/** Whose spending a budget bounds. */
export type BudgetScope =
  /** Of what is asked for on behalf of one user of the workspace. */
  | 'END_USER'
  /** Of what is asked for with one key. */
  | 'KEY'
  /** Of the whole workspace. */
  | 'WORKSPACE';

/** A POST from the upstream to the callback link of a task, and its verdict. */
export type Callback = {
  __typename?: 'Callback';
  /** As it came; what is not UTF-8 is shown as replacement characters. */
  body: Scalars['String']['output'];
  /** A UUIDv7. */
  id: Scalars['ID']['output'];
  /** When it came. */
  receivedAt: Scalars['DateTime']['output'];
  /** The task whose link it was posted to. */
  task?: Maybe<Task>;
  /** What was made of it. */
  verdict: CallbackVerdict;
};

/** A page of a list, newest first. */
export type CallbackConnection = {
  __typename?: 'CallbackConnection';
  /** The items with their cursors. */
  edges: Array<CallbackEdge>;
  /** The items. */
  nodes: Array<Callback>;
  /** Where the page stands. */
  pageInfo: PageInfo;
};

/** One Callback and its place in the list. */
export type CallbackEdge = {
  __typename?: 'CallbackEdge';
  /** Opaque: the place just after this item. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: Callback;
};

/** Which callbacks to show. Every condition that is given must hold. */
export type CallbackFilter = {
  /** Of this task; absent: of all. */
  taskId?: InputMaybe<Scalars['ID']['input']>;
  /** Any of these; empty or absent: all. */
  verdicts?: InputMaybe<Array<CallbackVerdict>>;
};

/** What was made of a callback. */
export type CallbackVerdict =
  /** It brought the task to its end. */
  | 'APPLIED'
  /** It contradicts a result that was there before. Nothing was changed. */
  | 'CONFLICT'
  /** The task had this end already. */
  | 'DUPLICATE'
  /** It brought the task to its end before the reply to our request had been read. */
  | 'EARLY'
  /** The task had ended without a result; pictures, if any, are kept as late images. */
  | 'LATE'
  /** It could not be understood. The task goes on. */
  | 'MALFORMED'
  /** There is no such task. */
  | 'UNKNOWN_TASK';

/** What taking a task back came to. */
export type CancelOutcome =
  /** The task had ended; nothing was changed. */
  | 'ALREADY_FINISHED'
  /** The upstream cannot be stopped and may bill it; a result that comes is kept as late. */
  | 'ALREADY_SENT'
  /** Nothing was asked of the upstream. */
  | 'NOT_SENT';

/** Which task to take back. */
export type CancelTaskInput = {
  /** The id of the task. */
  id: Scalars['ID']['input'];
};

/** The answer to cancelTask. */
export type CancelTaskPayload = {
  __typename?: 'CancelTaskPayload';
  /** What it came to; null when there are userErrors. */
  outcome?: Maybe<CancelOutcome>;
  /** The task as it is now; null when there are userErrors. */
  task?: Maybe<Task>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** A key that is to be made. */
export type CreateApiKeyInput = {
  /** From when it is refused; absent: never. */
  expiresAt?: InputMaybe<Scalars['DateTime']['input']>;
  /** How much it may do; absent: no limits. */
  limits?: InputMaybe<LimitsInput>;
  /** For people, 1 to 100 characters: the `actor` of what it causes. */
  name: Scalars['String']['input'];
  /** What it may do, such as "tasks:write"; nothing that the key which makes it may not do. */
  scopes: Array<Scalars['String']['input']>;
};

/** The answer to createApiKey. */
export type CreateApiKeyPayload = {
  __typename?: 'CreateApiKeyPayload';
  /** The key; null when there are userErrors. */
  apiKey?: Maybe<ApiKey>;
  /** The key itself, shown this once; null when there are userErrors. */
  secret?: Maybe<Scalars['String']['output']>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** A token that a browser is to be given. */
export type CreateClientTokenInput = {
  /** Whose it is, by whatever name the workspace has for its users, 1 to 255 characters: it sees and makes only what is theirs. Absent: it sees what everybody in the workspace has. */
  endUserId?: InputMaybe<Scalars['String']['input']>;
  /** Seconds until it is refused; 60 to 86400 (a day), default 3600. Never longer than the key. */
  expiresInSeconds?: InputMaybe<Scalars['Int']['input']>;
  /** How much it may do; nothing above the limits of the key, which hold too. Absent: those alone. */
  limits?: InputMaybe<LimitsInput>;
  /** What it may do, of tasks:read, tasks:write, images:write and audit:read; nothing that the key which makes it may not do. */
  scopes: Array<Scalars['String']['input']>;
  /** The tasks that it may see, 1 to 100; then it makes nothing new. Absent: all. */
  taskIds?: InputMaybe<Array<Scalars['ID']['input']>>;
};

/** The answer to createClientToken. */
export type CreateClientTokenPayload = {
  __typename?: 'CreateClientTokenPayload';
  /** From when it is refused; null when there are userErrors. */
  expiresAt?: Maybe<Scalars['DateTime']['output']>;
  /** To be sent as a key is: `Authorization: Bearer …`. It is kept nowhere. Null when there are userErrors. */
  token?: Maybe<Scalars['String']['output']>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** A picture that is about to be sent. */
export type CreateUploadInput = {
  /** What its owner calls it, up to 255 characters; it is offered again when the picture is saved. */
  fileName?: InputMaybe<Scalars['String']['input']>;
};

/** The answer to createUpload. */
export type CreateUploadPayload = {
  __typename?: 'CreateUploadPayload';
  /** The link; null when there are userErrors. */
  upload?: Maybe<Upload>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** A workspace that is to be made, and its first key. */
export type CreateWorkspaceInput = {
  /** For people, 1 to 100 characters. */
  name: Scalars['String']['input'];
  /** What its first key may do; nothing that the key which makes it may not do. */
  scopes: Array<Scalars['String']['input']>;
};

/** The answer to createWorkspace. */
export type CreateWorkspacePayload = {
  __typename?: 'CreateWorkspacePayload';
  /** Its first key; null when there are userErrors. */
  apiKey?: Maybe<ApiKey>;
  /** That key itself, shown this once; null when there are userErrors. */
  secret?: Maybe<Scalars['String']['output']>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
  /** The workspace; null when there are userErrors. */
  workspace?: Maybe<Workspace>;
};

/** Which image to take away. */
export type DeleteImageInput = {
  /** The id of the image. */
  id: Scalars['ID']['input'];
};

/** The answer to deleteImage. */
export type DeleteImagePayload = {
  __typename?: 'DeleteImagePayload';
  /** What is left of it: its facts, without its bytes; null when there are userErrors. */
  image?: Maybe<Image>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** One attempt to post a task's result to its callbackUrl. */
export type Delivery = {
  __typename?: 'Delivery';
  /** The first 1,024 bytes of the answer, as text. */
  answer?: Maybe<Scalars['String']['output']>;
  /** When it was made. */
  at: Scalars['DateTime']['output'];
  /** From 1. */
  attempt: Scalars['Int']['output'];
  /** Why it was not delivered. Null when it was. */
  failure?: Maybe<Scalars['String']['output']>;
  /** A UUIDv7. */
  id: Scalars['ID']['output'];
  /** Milliseconds until the answer, or until it was given up; at most about 15,000. */
  latencyMs: Scalars['Int']['output'];
  /** When the next attempt is due. Null when this one delivered, was the last, or was overtaken by another. */
  nextAttemptAt?: Maybe<Scalars['DateTime']['output']>;
  /** The HTTP status that was answered; 200 to 299 means delivered. Null when nobody answered. */
  statusCode?: Maybe<Scalars['Int']['output']>;
  /** The header webhook-id: the same in every attempt to deliver the same result. */
  webhookId: Scalars['ID']['output'];
};

/** A page of a list, newest first. */
export type DeliveryConnection = {
  __typename?: 'DeliveryConnection';
  /** The items with their cursors. */
  edges: Array<DeliveryEdge>;
  /** The items. */
  nodes: Array<Delivery>;
  /** Where the page stands. */
  pageInfo: PageInfo;
};

/** One Delivery and its place in the list. */
export type DeliveryEdge = {
  __typename?: 'DeliveryEdge';
  /** Opaque: the place just after this item. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: Delivery;
};

/** A wish for a picture to be changed. */
export type EditImageInput = {
  /** Where the result is posted to when it is there: a public http or https address. See docs/PROTOCOL.md, "Callbacks out". */
  callbackUrl?: InputMaybe<Scalars['String']['input']>;
  /** For whom of its own users the workspace asks, by whatever name it has for them; 1 to 255 characters. A token of an end user leaves it out. */
  endUserId?: InputMaybe<Scalars['String']['input']>;
  /** Same key and same input: the same task. Same key, other input: IDEMPOTENCY_CONFLICT. 1 to 255 characters. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
  /** The caller's own JSON, up to 4 KB, returned untouched. */
  metadata?: InputMaybe<Scalars['JSON']['input']>;
  /** See `models`; default flux-kontext-pro. */
  model?: InputMaybe<Scalars['String']['input']>;
  /** Which of the queued tasks of the same end user goes first. It does not come before others by it. */
  priority?: InputMaybe<TaskPriority>;
  /** How to change it; 1 to 4,000 characters. */
  prompt: Scalars['String']['input'];
  /** A ratio; default: the source's own. */
  size?: InputMaybe<Scalars['String']['input']>;
  /** One of our images. Exactly one of the two sources is given. */
  sourceImageId?: InputMaybe<Scalars['ID']['input']>;
  /** A direct http or https link to a picture. Exactly one of the two sources is given. */
  sourceImageUrl?: InputMaybe<Scalars['String']['input']>;
  /** Seconds until we give up on it; 10 to 3600, default 600. */
  timeoutSeconds?: InputMaybe<Scalars['Int']['input']>;
};

/** The answer to editImage. */
export type EditImagePayload = {
  __typename?: 'EditImagePayload';
  /** True when an earlier request with this idempotencyKey made the task. */
  replayed: Scalars['Boolean']['output'];
  /** The task; null when there are userErrors. */
  task?: Maybe<Task>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** What a model accepts, so that a form can be built from it. */
export type FluxModel = {
  __typename?: 'FluxModel';
  /** Whether editImage takes it. */
  canEdit: Scalars['Boolean']['output'];
  /** Whether generateImages takes it. */
  canGenerate: Scalars['Boolean']['output'];
  /** The size of a generated picture when none is given. */
  defaultSize: Scalars['String']['output'];
  /** The upstream advises against it and may remove it. */
  isDeprecated: Scalars['Boolean']['output'];
  /** The most pictures one request may ask for. */
  maxCount: Scalars['Int']['output'];
  /** What goes into `model` of an input. */
  name: Scalars['String']['output'];
  /** Pixel rule; null when it takes ratios. */
  pixels?: Maybe<PixelRule>;
  /** Ratios it accepts, such as "16:9"; empty when it takes pixels. */
  ratios: Array<Scalars['String']['output']>;
};

/** A wish for pictures from words. */
export type GenerateImagesInput = {
  /** Where the result is posted to when it is there: a public http or https address. See docs/PROTOCOL.md, "Callbacks out". */
  callbackUrl?: InputMaybe<Scalars['String']['input']>;
  /** Pictures wished for, 1 to 4. Fewer may come. */
  count?: InputMaybe<Scalars['Int']['input']>;
  /** For whom of its own users the workspace asks, by whatever name it has for them; 1 to 255 characters. A token of an end user leaves it out. */
  endUserId?: InputMaybe<Scalars['String']['input']>;
  /** Same key and same input: the same task. Same key, other input: IDEMPOTENCY_CONFLICT. 1 to 255 characters. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
  /** The caller's own JSON, up to 4 KB, returned untouched. */
  metadata?: InputMaybe<Scalars['JSON']['input']>;
  /** See `models`; default flux-dev. */
  model?: InputMaybe<Scalars['String']['input']>;
  /** Which of the queued tasks of the same end user goes first. It does not come before others by it. */
  priority?: InputMaybe<TaskPriority>;
  /** What to make; 1 to 4,000 characters. */
  prompt: Scalars['String']['input'];
  /** WIDTHxHEIGHT or a ratio, by model; default: the `defaultSize` of the model. */
  size?: InputMaybe<Scalars['String']['input']>;
  /** Seconds until we give up on it; 10 to 3600, default 600. */
  timeoutSeconds?: InputMaybe<Scalars['Int']['input']>;
};

/** The answer to generateImages. */
export type GenerateImagesPayload = {
  __typename?: 'GenerateImagesPayload';
  /** True when an earlier request with this idempotencyKey made the task. */
  replayed: Scalars['Boolean']['output'];
  /** The task; null when there are userErrors. */
  task?: Maybe<Task>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** One finished picture. Its sides, type and placeholder are null until our copy of it is stored, a moment after the task succeeded; the event IMAGE_STORED tells when. */
export type Image = {
  __typename?: 'Image';
  /** Bytes of the stored original. */
  byteSize?: Maybe<Scalars['Int']['output']>;
  /** When it was taken away: its links answer 410, and it can no longer be edited. */
  deletedAt?: Maybe<Scalars['DateTime']['output']>;
  /** What was edited from it, oldest first. */
  edits: ImageConnection;
  /** In pixels, as the picture is meant to be seen. */
  height?: Maybe<Scalars['Int']['output']>;
  /** A UUIDv7. */
  id: Scalars['ID']['output'];
  /** Place in the upstream's order, from 0. */
  index: Scalars['Int']['output'];
  /** Seconds the upstream says it took. */
  inferenceSeconds?: Maybe<Scalars['Float']['output']>;
  /** Found by decoding the bytes, such as "image/png". */
  mimeType?: Maybe<Scalars['String']['output']>;
  /** What it was edited from, when that is one of ours. */
  parent?: Maybe<Image>;
  /** What makes the same picture again, as the upstream gave it. */
  seed?: Maybe<Scalars['String']['output']>;
  /** Hex SHA-256 of the stored original. */
  sha256?: Maybe<Scalars['String']['output']>;
  /** When our copy was complete. */
  storedAt?: Maybe<Scalars['DateTime']['output']>;
  /** The task that made it; null for an upload. */
  task?: Maybe<Task>;
  /** Base64 ThumbHash, for a placeholder before the picture loads. */
  thumbhash?: Maybe<Scalars['String']['output']>;
  /** The upstream's own link, for the record. It expires; use `url`. */
  upstreamUrl?: Maybe<Scalars['URL']['output']>;
  /** Ours, and it lasts: served from the store, never the upstream's expiring link. Works without a key, for whoever was given it; an operator can limit how long. */
  url: Scalars['URL']['output'];
  /** In pixels, as the picture is meant to be seen. */
  width?: Maybe<Scalars['Int']['output']>;
};


/** One finished picture. Its sides, type and placeholder are null until our copy of it is stored, a moment after the task succeeded; the event IMAGE_STORED tells when. */
export type ImageEditsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
};


/** One finished picture. Its sides, type and placeholder are null until our copy of it is stored, a moment after the task succeeded; the event IMAGE_STORED tells when. */
export type ImageUrlArgs = {
  format?: InputMaybe<ImageFormat>;
  width?: InputMaybe<Scalars['Int']['input']>;
};

/** A page of a list, oldest first. */
export type ImageConnection = {
  __typename?: 'ImageConnection';
  /** The items with their cursors. */
  edges: Array<ImageEdge>;
  /** The items. */
  nodes: Array<Image>;
  /** Where the page stands. */
  pageInfo: PageInfo;
};

/** One Image and its place in the list. */
export type ImageEdge = {
  __typename?: 'ImageEdge';
  /** Opaque: the place just after this item. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: Image;
};

/** What a picture is served as. */
export type ImageFormat =
  | 'AVIF'
  | 'JPEG'
  /** As it came; with a width, in its own format. */
  | 'ORIGINAL'
  | 'PNG'
  | 'WEBP';

/** What a key or a token may do in a time or at once. Null: no limit of its own. */
export type Limits = {
  __typename?: 'Limits';
  /** WebSockets and event streams at the same time. */
  connections?: Maybe<Scalars['Int']['output']>;
  /** Tasks that have not ended, at the same time. */
  generationsInFlight?: Maybe<Scalars['Int']['output']>;
  /** Tasks asked for in a minute. */
  generationsPerMinute?: Maybe<Scalars['Int']['output']>;
  /** Requests in a minute. */
  requestsPerMinute?: Maybe<Scalars['Int']['output']>;
};

/** What a key or a token may do in a time or at once: 1 to 1000000 each. Absent: no limit of its own. */
export type LimitsInput = {
  /** WebSockets and event streams at the same time. */
  connections?: InputMaybe<Scalars['Int']['input']>;
  /** Tasks that have not ended, at the same time. */
  generationsInFlight?: InputMaybe<Scalars['Int']['input']>;
  /** Tasks asked for in a minute. */
  generationsPerMinute?: InputMaybe<Scalars['Int']['input']>;
  /** Requests in a minute. */
  requestsPerMinute?: InputMaybe<Scalars['Int']['input']>;
};

export type Mutation = {
  __typename?: 'Mutation';
  /** Takes a task back. What was not sent is never sent; what was sent cannot be stopped. */
  cancelTask: CancelTaskPayload;
  /** Makes a key to the workspace and shows it, this once. Scope keys:admin. */
  createApiKey: CreateApiKeyPayload;
  /** Makes a token for a browser: for a short time, for one end user or for certain tasks, and never for more than the key may do. It ends with the key. Scope tasks:read, and a key: a token makes no tokens. */
  createClientToken: CreateClientTokenPayload;
  /** Makes a link to which a person's own picture can be sent, to be edited. It works from a browser. */
  createUpload: CreateUploadPayload;
  /** Makes another workspace, and the first key to it, shown this once. Scope workspaces:admin. */
  createWorkspace: CreateWorkspacePayload;
  /** Takes an image away for good: its links answer 410, and its bytes are removed unless another image has the same. The history stays. */
  deleteImage: DeleteImagePayload;
  /** Asks for a picture to be changed. Promises the same as generateImages. */
  editImage: EditImagePayload;
  /** Asks for pictures. The answer comes at once, with a task; watch it with taskUpdated. Once answered, the task reaches an end whatever happens, and is sent to the upstream at most once. */
  generateImages: GenerateImagesPayload;
  /** Posts a task's result to its callbackUrl again, now, with the same webhook-id and all attempts anew; also one that was delivered or abandoned. */
  redeliverCallback: RedeliverCallbackPayload;
  /** Takes a kept callback as if it came now. Does nothing when its result is in already. */
  replayCallback: ReplayCallbackPayload;
  /** A new task with an ended one's request, linked to it by retryOf. We never pay twice by ourselves: this is the caller's decision to. */
  retryTask: RetryTaskPayload;
  /** Ends a key: within 5 s no instance takes it, and its streams and those of its tokens end. One that was revoked before stays so. Scope keys:admin. */
  revokeApiKey: RevokeApiKeyPayload;
  /** A new secret under the same name, with the same scopes, limits and end, as a key with an id of its own; the old one is good for a while yet. Scope keys:admin, and every scope of the key. */
  rotateApiKey: RotateApiKeyPayload;
  /** A new secret for callbacks. The present one signs beside it for a while, so that receivers can change over. Scope keys:admin. */
  rotateWebhookSecret: RotateWebhookSecretPayload;
  /** Bounds what may be spent in a month, from now on and counting what the month has cost so far; or removes the bound. Scope workspaces:admin for WORKSPACE, keys:admin for the others. */
  setBudget: SetBudgetPayload;
};


export type MutationCancelTaskArgs = {
  input: CancelTaskInput;
};


export type MutationCreateApiKeyArgs = {
  input: CreateApiKeyInput;
};


export type MutationCreateClientTokenArgs = {
  input: CreateClientTokenInput;
};


export type MutationCreateUploadArgs = {
  input: CreateUploadInput;
};


export type MutationCreateWorkspaceArgs = {
  input: CreateWorkspaceInput;
};


export type MutationDeleteImageArgs = {
  input: DeleteImageInput;
};


export type MutationEditImageArgs = {
  input: EditImageInput;
};


export type MutationGenerateImagesArgs = {
  input: GenerateImagesInput;
};


export type MutationRedeliverCallbackArgs = {
  input: RedeliverCallbackInput;
};


export type MutationReplayCallbackArgs = {
  input: ReplayCallbackInput;
};


export type MutationRetryTaskArgs = {
  input: RetryTaskInput;
};


export type MutationRevokeApiKeyArgs = {
  input: RevokeApiKeyInput;
};


export type MutationRotateApiKeyArgs = {
  input: RotateApiKeyInput;
};


export type MutationRotateWebhookSecretArgs = {
  input: RotateWebhookSecretInput;
};


export type MutationSetBudgetArgs = {
  input: SetBudgetInput;
};

/** Where a page stands in its list, as Relay defines it. */
export type PageInfo = {
  __typename?: 'PageInfo';
  /** Cursor of the last item; `after` for the next page. */
  endCursor?: Maybe<Scalars['String']['output']>;
  /** Whether there is more after this page. */
  hasNextPage: Scalars['Boolean']['output'];
  /** Whether this page was asked for by a cursor, so that there is something before it. */
  hasPreviousPage: Scalars['Boolean']['output'];
  /** Of `tasks` and `taskEvents`, also on an empty page: the `after` with which a subscription shows everything that this page does not. Null elsewhere. */
  logCursor?: Maybe<Scalars['String']['output']>;
  /** Cursor of the first item; null on an empty page. */
  startCursor?: Maybe<Scalars['String']['output']>;
};

/** Which sizes in pixels a model takes. */
export type PixelRule = {
  __typename?: 'PixelRule';
  /** Largest width or height. */
  maxSide: Scalars['Int']['output'];
  /** Smallest width or height. */
  minSide: Scalars['Int']['output'];
  /** Each side is a multiple of this. */
  multipleOf: Scalars['Int']['output'];
};

export type Query = {
  __typename?: 'Query';
  /** The workspace's keys, newest first, also those that are not good any more. Scope keys:admin. */
  apiKeys: ApiKeyConnection;
  /** Who used what power in the workspace: what, when, from where, with which key; newest first. Scope audit:read. */
  auditLog: AuditEntryConnection;
  /** The workspace's budgets, and how they stand: those of end users, then those of keys, then its own. Scope audit:read. */
  budgets: BudgetConnection;
  /** What the upstream sent us, newest first, with what we made of it. Scope audit:read. */
  callbacks: CallbackConnection;
  /** One image; null when there is none with this id. */
  image?: Maybe<Image>;
  /** What each model accepts, so that a form can be built from it. */
  models: Array<FluxModel>;
  /** How many requests the caller may still make. Null: as many as it likes. Needs no scope. */
  rateLimit?: Maybe<RateLimit>;
  /** One task; null when there is none with this id. */
  task?: Maybe<Task>;
  /** The workspace's events, oldest first, however old. The cursors are those of the subscription: read to the end, subscribe after its `pageInfo.logCursor`, and nothing is missed. */
  taskEvents: TaskEventConnection;
  /** The workspace's tasks, newest first. */
  tasks: TaskConnection;
  /** What the tasks that were asked for in a time came to. `/usage.csv` has the same as a table. Scope audit:read. */
  usage: UsageGroupConnection;
  /** The caller's own workspace, key and scopes. Needs no scope. */
  viewer: Viewer;
  /** What the workspace's callbacks are signed with. Scope keys:admin. */
  webhookSecret: WebhookSecret;
};


export type QueryApiKeysArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
};


export type QueryAuditLogArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<AuditFilter>;
  first?: Scalars['Int']['input'];
};


export type QueryBudgetsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
  month?: InputMaybe<Scalars['String']['input']>;
};


export type QueryCallbacksArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<CallbackFilter>;
  first?: Scalars['Int']['input'];
};


export type QueryImageArgs = {
  id: Scalars['ID']['input'];
};


export type QueryTaskArgs = {
  id: Scalars['ID']['input'];
};


export type QueryTaskEventsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<TaskEventFilter>;
  first?: Scalars['Int']['input'];
};


export type QueryTasksArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<TaskFilter>;
  first?: Scalars['Int']['input'];
};


export type QueryUsageArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
  from: Scalars['DateTime']['input'];
  groupBy: UsageGrouping;
  to: Scalars['DateTime']['input'];
};

/** How the limit on requests stands that is nearest to its end: of the key, the end user or the workspace. Several instances count together; `remaining` can be some percent too high. */
export type RateLimit = {
  __typename?: 'RateLimit';
  /** How many of them this request used up: one for each operation in it. */
  cost: Scalars['Int']['output'];
  /** Requests that may be made in a minute. */
  limit: Scalars['Int']['output'];
  /** How many may still be made until `resetAt`. */
  remaining: Scalars['Int']['output'];
  /** When all of them may be made again. */
  resetAt: Scalars['DateTime']['output'];
};

/** Which result to post again. */
export type RedeliverCallbackInput = {
  /** The id of the task. */
  id: Scalars['ID']['input'];
};

/** The answer to redeliverCallback. */
export type RedeliverCallbackPayload = {
  __typename?: 'RedeliverCallbackPayload';
  /** The task; null when there are userErrors. */
  task?: Maybe<Task>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** Which callback to take again. */
export type ReplayCallbackInput = {
  /** The id of the callback. */
  id: Scalars['ID']['input'];
};

/** The answer to replayCallback. */
export type ReplayCallbackPayload = {
  __typename?: 'ReplayCallbackPayload';
  /** With its verdict of now; null when there are userErrors. */
  callback?: Maybe<Callback>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** Which ended task to ask for again. This can cost a second time. */
export type RetryTaskInput = {
  /** The id of the ended task. */
  id: Scalars['ID']['input'];
  /** Same key and same task: the same retry. 1 to 255 characters. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
};

/** The answer to retryTask. */
export type RetryTaskPayload = {
  __typename?: 'RetryTaskPayload';
  /** The new task; null when there are userErrors. */
  task?: Maybe<Task>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** Which key to end. */
export type RevokeApiKeyInput = {
  /** The id of the key. */
  id: Scalars['ID']['input'];
};

/** The answer to revokeApiKey. */
export type RevokeApiKeyPayload = {
  __typename?: 'RevokeApiKeyPayload';
  /** The key; null when there are userErrors. */
  apiKey?: Maybe<ApiKey>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** Which key to replace. */
export type RotateApiKeyInput = {
  /** Seconds for which the old key is still good; 0 to 604800 (a week), default 3600 (an hour). */
  graceSeconds?: InputMaybe<Scalars['Int']['input']>;
  /** The id of the key. */
  id: Scalars['ID']['input'];
};

/** The answer to rotateApiKey. */
export type RotateApiKeyPayload = {
  __typename?: 'RotateApiKeyPayload';
  /** The key that takes the place of the old one; null when there are userErrors. */
  apiKey?: Maybe<ApiKey>;
  /** The new key itself, shown this once; null when there are userErrors. */
  secret?: Maybe<Scalars['String']['output']>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

/** How to change the secret. */
export type RotateWebhookSecretInput = {
  /** Seconds for which the present secret still signs beside the new one; 0 to 604800 (a week), default 86400 (a day). */
  overlapSeconds?: InputMaybe<Scalars['Int']['input']>;
};

/** The answer to rotateWebhookSecret. */
export type RotateWebhookSecretPayload = {
  __typename?: 'RotateWebhookSecretPayload';
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
  /** The new one; null when there are userErrors. */
  webhookSecret?: Maybe<WebhookSecret>;
};

/** What may be spent in a month. */
export type SetBudgetInput = {
  /** A decimal number as text, such as "12.50": not below 0, up to 12 digits, and 8 after the point. Null or absent: there shall be no budget. */
  amount?: InputMaybe<Scalars['String']['input']>;
  /** One of the price list's currencies, such as USD. Absent: the one of the price list, where it has only one. */
  currency?: InputMaybe<Scalars['String']['input']>;
  /** The id of a key of the workspace, or your id of your user. Of a workspace only your own, which is what it is when absent. */
  id?: InputMaybe<Scalars['ID']['input']>;
  /** Whose spending to bound. */
  scope: BudgetScope;
};

/** The answer to setBudget. */
export type SetBudgetPayload = {
  __typename?: 'SetBudgetPayload';
  /** How it stands in the present month; null where it was removed, or there are userErrors. */
  budget?: Maybe<Budget>;
  /** Everything that is wrong with the input; empty on success. */
  userErrors: Array<UserError>;
};

export type Subscription = {
  __typename?: 'Subscription';
  /** All events of the workspace, each once and in order, across reconnects: from `after`, or from now. It does not end by itself; give the cursor of the last event that you have handled to go on. */
  taskEvents: TaskEvent;
  /** One task's events, each once and in order, until the task has ended and its images are stored or lost; then the stream completes. The first delivery is the task as it stands, unless `after` says where to go on. */
  taskUpdated: TaskEvent;
};


export type SubscriptionTaskEventsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<TaskEventFilter>;
};


export type SubscriptionTaskUpdatedArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  id: Scalars['ID']['input'];
};

/** What a caller asked for, and what became of it. */
export type Task = {
  __typename?: 'Task';
  /** Where its result is posted to. */
  callbackUrl?: Maybe<Scalars['URL']['output']>;
  /** What it costs. */
  cost: TaskCost;
  /** When the request was acknowledged. */
  createdAt: Scalars['DateTime']['output'];
  /** The log's position just before this answer was read: query the task, then subscribe after it, and nothing is missed. An event seen in both is possible, a lost one is not. */
  cursor: Scalars['String']['output'];
  /** When we give up on it. */
  deadlineAt: Scalars['DateTime']['output'];
  /** Pictures that the upstream delivered in time; can be fewer. */
  deliveredCount: Scalars['Int']['output'];
  /** Attempts to deliver the task's result to its callbackUrl, newest first. */
  deliveries: DeliveryConnection;
  /** For whom of its own users the workspace asked. Null: for itself. */
  endUserId?: Maybe<Scalars['String']['output']>;
  /** Why there are no pictures. */
  error?: Maybe<TaskError>;
  /** The task's history, oldest first. */
  events: TaskEventConnection;
  /** When it came to its end. */
  finishedAt?: Maybe<Scalars['DateTime']['output']>;
  /** A UUIDv7: tasks made later sort later. */
  id: Scalars['ID']['output'];
  /** The key that the request came with. */
  idempotencyKey?: Maybe<Scalars['String']['output']>;
  /** The pictures, in the upstream's order. Late ones are not here but in lateImages. */
  images: Array<Image>;
  /** Whether it generates or edits. */
  kind: TaskKind;
  /** Pictures that came after the task had ended. */
  lateImages: Array<Image>;
  /** The caller's own JSON, up to 4 KB, returned untouched. */
  metadata?: Maybe<Scalars['JSON']['output']>;
  /** The model that makes the pictures; see `models`. */
  model: Scalars['String']['output'];
  /** Its place among the queued tasks of its own end user. */
  priority: TaskPriority;
  /** As the caller wrote it. */
  prompt: Scalars['String']['output'];
  /** In which turn it will be sent, from 1, when nothing else is asked for. Workspaces take turns, then the end users of each, then the tasks of each by priority and age: see docs/PROTOCOL.md, "Turns". Null unless QUEUED. */
  queuePosition?: Maybe<Scalars['Int']['output']>;
  /** Pictures that were asked for. */
  requestedCount: Scalars['Int']['output'];
  /** The task that this one asks for again. */
  retryOf?: Maybe<Task>;
  /** WIDTHxHEIGHT in pixels or a ratio, by model. Null for an edit that keeps its source's. */
  size?: Maybe<Scalars['String']['output']>;
  /** What an edit started from, when it is one of ours. */
  sourceImage?: Maybe<Image>;
  /** What an edit started from, when it was given by its URL. */
  sourceImageUrl?: Maybe<Scalars['URL']['output']>;
  /** Where it is now. */
  status: TaskStatus;
  /** When the upstream accepted it. */
  submittedAt?: Maybe<Scalars['DateTime']['output']>;
  /** The upstream's id, once it is known. */
  upstreamTaskId?: Maybe<Scalars['String']['output']>;
  /** By which the upstream's support finds the task. */
  upstreamTraceId?: Maybe<Scalars['String']['output']>;
};


/** What a caller asked for, and what became of it. */
export type TaskDeliveriesArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
};


/** What a caller asked for, and what became of it. */
export type TaskEventsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
};

/** A page of a list, newest first. */
export type TaskConnection = {
  __typename?: 'TaskConnection';
  /** The items with their cursors. */
  edges: Array<TaskEdge>;
  /** The items. */
  nodes: Array<Task>;
  /** Where the page stands. */
  pageInfo: PageInfo;
};

/** What a task costs, by the price list. Amounts are decimal numbers as text, such as "0.08". */
export type TaskCost = {
  __typename?: 'TaskCost';
  /** Three letters, as ISO 4217 has them; null: no price was known. */
  currency?: Maybe<Scalars['String']['output']>;
  /** What it could cost: the price that applied at its request, times the pictures asked for. Null: no price was known. */
  estimated?: Maybe<Scalars['String']['output']>;
  /** What was delivered has cost, late pictures included. Null until the task has ended; also when it was canceled or expired after it had been sent and no more was heard, for the upstream may have billed it; and where no price was known. */
  final?: Maybe<Scalars['String']['output']>;
};

/** One Task and its place in the list. */
export type TaskEdge = {
  __typename?: 'TaskEdge';
  /** Opaque: the place just after this item. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: Task;
};

/** Why a task has no pictures. */
export type TaskError = {
  __typename?: 'TaskError';
  /** Stable, SCREAMING_CASE, listed in docs/ERRORS.md. */
  code: Scalars['String']['output'];
  /** What happened and what to do next, as a sentence for a person. */
  message: Scalars['String']['output'];
  /** Whether the same request may work later. */
  retryable: Scalars['Boolean']['output'];
  /** The upstream's own code, where it gave one. */
  upstreamCode?: Maybe<Scalars['String']['output']>;
  /** By which the upstream's support finds the request. */
  upstreamTraceId?: Maybe<Scalars['String']['output']>;
};

/** One fact about a task. Events are never changed or deleted: they are the audit history and the push stream. */
export type TaskEvent = {
  __typename?: 'TaskEvent';
  /** Who or what caused it: the name of a key, "submitter", "upstream callback", "reconciler", "deadline", "image store". */
  actor: Scalars['String']['output'];
  /** When it was written down. */
  at: Scalars['DateTime']['output'];
  /** Opaque: the place just after this event, for `after`. */
  cursor: Scalars['String']['output'];
  /** Facts of this kind of event; shapes are in docs/PROTOCOL.md. */
  data: Scalars['JSON']['output'];
  /** A UUID. */
  id: Scalars['ID']['output'];
  /** The task as it is now. */
  task: Task;
  /** What happened. */
  type: TaskEventType;
};

/** A page of a list, oldest first. */
export type TaskEventConnection = {
  __typename?: 'TaskEventConnection';
  /** The items with their cursors. */
  edges: Array<TaskEventEdge>;
  /** The items. */
  nodes: Array<TaskEvent>;
  /** Where the page stands. */
  pageInfo: PageInfo;
};

/** One TaskEvent and its place in the list. */
export type TaskEventEdge = {
  __typename?: 'TaskEventEdge';
  /** Opaque: the place just after this item. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: TaskEvent;
};

/** Which events to show. Every condition that is given must hold. */
export type TaskEventFilter = {
  /** Events of these tasks, at most 100 in a subscription; empty or absent: of all. */
  taskIds?: InputMaybe<Array<Scalars['ID']['input']>>;
  /** Any of these; empty or absent: all. */
  types?: InputMaybe<Array<TaskEventType>>;
};

/** What happened. The `data` of each kind is described in docs/PROTOCOL.md. */
export type TaskEventType =
  | 'CALLBACK_ABANDONED'
  | 'CALLBACK_DELIVERED'
  /** A picture was taken away; its links answer 410. */
  | 'IMAGE_DELETED'
  /** The upstream's link gave no picture, and nobody will ask it again. */
  | 'IMAGE_LOST'
  /** Our copy of a picture is complete, with what is needed to lay it out. */
  | 'IMAGE_STORED'
  /** Pictures came after the end; they are kept as late images. */
  | 'LATE_RESULT_ARRIVED'
  /** An attempt made nothing; the next one is at `data.retryAt`. */
  | 'SUBMIT_REJECTED'
  /** A request may or may not have arrived; it is not sent again. */
  | 'SUBMIT_UNCONFIRMED'
  /** The caller took it back. */
  | 'TASK_CANCELED'
  /** The deadline passed. */
  | 'TASK_EXPIRED'
  /** An end without pictures. */
  | 'TASK_FAILED'
  /** The request was acknowledged. */
  | 'TASK_REQUESTED'
  /** The upstream accepted it. */
  | 'TASK_SUBMITTED'
  /** The result is there; IMAGE_STORED or IMAGE_LOST follows for each picture. */
  | 'TASK_SUCCEEDED';

/** Which tasks to show. Every condition that is given must hold. */
export type TaskFilter = {
  /** Requested at or after this moment. */
  createdAfter?: InputMaybe<Scalars['DateTime']['input']>;
  /** Requested before this moment. */
  createdBefore?: InputMaybe<Scalars['DateTime']['input']>;
  /** Any of these; empty or absent: all. */
  kinds?: InputMaybe<Array<TaskKind>>;
  /** Any of these model names; empty or absent: all. */
  models?: InputMaybe<Array<Scalars['String']['input']>>;
  /** Words the prompt must hold; "quoted phrases", `or` and -not work as in a web search. */
  search?: InputMaybe<Scalars['String']['input']>;
  /** Any of these; empty or absent: all. */
  statuses?: InputMaybe<Array<TaskStatus>>;
};

/** Whether pictures are made from words alone, or from a picture and words. */
export type TaskKind =
  /** A picture changed as the prompt says. */
  | 'EDIT'
  /** Pictures from a prompt. */
  | 'GENERATE';

/** Which of the queued tasks of one end user goes first. It changes nothing for other end users and other workspaces. */
export type TaskPriority =
  /** Before the others. */
  | 'HIGH'
  /** After the others. */
  | 'LOW'
  /** In the order of asking. */
  | 'NORMAL';

/** Where a task is. SUCCEEDED, FAILED, CANCELED and EXPIRED are ends: a task has one, and it is final. */
export type TaskStatus =
  /** The caller took it back. */
  | 'CANCELED'
  /** The deadline passed; `error` says what is known. */
  | 'EXPIRED'
  /** There is no picture; `error` says why. */
  | 'FAILED'
  /** Written down; not sent yet, or to be sent again because certainly nothing was made. */
  | 'QUEUED'
  /** The upstream has accepted it and is at work. */
  | 'RUNNING'
  /** Being sent to the upstream. */
  | 'SUBMITTING'
  /** There are pictures, perhaps fewer than were asked for: see deliveredCount. */
  | 'SUCCEEDED'
  /** The request may or may not have reached the upstream. It is never sent again by us, so that nothing is paid for twice; a result that comes still ends it. */
  | 'UNCONFIRMED';

/** A link that takes one picture, once: PUT the bytes to it, or POST a form with one file. No key is needed. The answer is `{"image": {"id", "url", "width", "height", "mimeType", "byteSize"}}`. */
export type Upload = {
  __typename?: 'Upload';
  /** Until when it can be used; 15 minutes. */
  expiresAt: Scalars['DateTime']['output'];
  /** The id that the image has once the picture was sent: for editImage. */
  imageId: Scalars['ID']['output'];
  /** Bytes that are taken at most. */
  maxBytes: Scalars['Int']['output'];
  /** Where to send it. Whoever has the link can use it. */
  url: Scalars['URL']['output'];
};

/** What the tasks of a group came to. Those without a known price, and those in another currency, are a group of their own. Amounts are decimal numbers as text. */
export type UsageGroup = {
  __typename?: 'UsageGroup';
  /** What these pictures cost; null: unknown. */
  cost?: Maybe<Scalars['String']['output']>;
  /** Three letters; null: no price was known when these were asked for. */
  currency?: Maybe<Scalars['String']['output']>;
  /** What the upstream may have billed for tasks that were given up after they had been sent, which nobody can know; null: unknown. */
  held?: Maybe<Scalars['String']['output']>;
  /** Pictures that were delivered, in time or late. */
  images: Scalars['Int']['output'];
  /** The day (YYYY-MM-DD), the model, the id of the key, or of the end user. Null: tasks that have none. */
  key?: Maybe<Scalars['String']['output']>;
  /** The name of the key; null in other groupings. */
  name?: Maybe<Scalars['String']['output']>;
  /** What those of the tasks that have not ended can cost; null: unknown. */
  reserved?: Maybe<Scalars['String']['output']>;
  /** Tasks that were asked for, whatever became of them. */
  tasks: Scalars['Int']['output'];
};

/** A page of a list, by key, then by currency. */
export type UsageGroupConnection = {
  __typename?: 'UsageGroupConnection';
  /** The items with their cursors. */
  edges: Array<UsageGroupEdge>;
  /** The items. */
  nodes: Array<UsageGroup>;
  /** Where the page stands. */
  pageInfo: PageInfo;
};

/** One UsageGroup and its place in the list. */
export type UsageGroupEdge = {
  __typename?: 'UsageGroupEdge';
  /** Opaque: the place just after this item. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: UsageGroup;
};

/** What usage is added up by. */
export type UsageGrouping =
  /** By the day of the request, by UTC. */
  | 'DAY'
  /** By the end user that the request was for. */
  | 'END_USER'
  /** By the key that the request came with. */
  | 'KEY'
  /** By model. */
  | 'MODEL';

/** Something the caller can mend. Nothing was written and nothing was sent. */
export type UserError = {
  __typename?: 'UserError';
  /** Stable, SCREAMING_CASE, listed in docs/ERRORS.md. */
  code: Scalars['String']['output'];
  /** The path in the arguments, such as ["input", "size"]. */
  field?: Maybe<Array<Scalars['String']['output']>>;
  /** What is wrong and what works instead, as a sentence for a person. */
  message: Scalars['String']['output'];
};

/** Who is asking: a key, or a token that a key made. */
export type Viewer = {
  __typename?: 'Viewer';
  /** Whose the token is: it sees and makes only what is theirs. Null: it is for everybody. */
  endUserId?: Maybe<Scalars['String']['output']>;
  /** From when it is refused; null: never. */
  expiresAt?: Maybe<Scalars['DateTime']['output']>;
  /** The id of the key; of a token, the key that made it. */
  keyId: Scalars['ID']['output'];
  /** The key's name: the `actor` of what it causes. */
  keyName: Scalars['String']['output'];
  /** The key's first characters, by which a person recognises it. */
  keyPrefix: Scalars['String']['output'];
  /** What the key may do, such as "tasks:write". */
  scopes: Array<Scalars['String']['output']>;
  /** The tasks that the token may see. Null: all. */
  taskIds?: Maybe<Array<Scalars['ID']['output']>>;
  /** The workspace that owns everything this key sees and makes. */
  workspaceId: Scalars['ID']['output'];
  /** The workspace's name. */
  workspaceName: Scalars['String']['output'];
};

/** What the workspace's callbacks are signed with, by Standard Webhooks. */
export type WebhookSecret = {
  __typename?: 'WebhookSecret';
  /** Until when callbacks are signed with the secret before this one, too. Null: they are not. */
  previousUntil?: Maybe<Scalars['DateTime']['output']>;
  /** Give it to your receivers: `whsec_` and 32 bytes in base64. */
  secret: Scalars['String']['output'];
};

/** Who owns tasks. Nothing of one can be seen from another. */
export type Workspace = {
  __typename?: 'Workspace';
  /** When it was made. */
  createdAt: Scalars['DateTime']['output'];
  /** The id of the workspace. */
  id: Scalars['ID']['output'];
  /** What people call it; several may be called the same. */
  name: Scalars['String']['output'];
};

export type ImageFieldsFragment = { __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null };

export type TaskFieldsFragment = { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, cursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } };

export type ViewerQueryVariables = Exact<{ [key: string]: never; }>;


export type ViewerQuery = { __typename?: 'Query', viewer: { __typename?: 'Viewer', workspaceId: string, workspaceName: string, keyId: string, keyName: string, keyPrefix: string, scopes: Array<string> } };

export type ModelsQueryVariables = Exact<{ [key: string]: never; }>;


export type ModelsQuery = { __typename?: 'Query', models: Array<{ __typename?: 'FluxModel', name: string, canGenerate: boolean, canEdit: boolean, isDeprecated: boolean, ratios: Array<string>, maxCount: number, defaultSize: string, pixels?: { __typename?: 'PixelRule', minSide: number, maxSide: number, multipleOf: number } | null }> };

export type TaskByIdQueryVariables = Exact<{
  id: Scalars['ID']['input'];
}>;


export type TaskByIdQuery = { __typename?: 'Query', task?: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, cursor: string, lateImages: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } | null };

export type TaskDeliveriesQueryVariables = Exact<{
  id: Scalars['ID']['input'];
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
}>;


export type TaskDeliveriesQuery = { __typename?: 'Query', task?: { __typename?: 'Task', id: string, callbackUrl?: string | null, deliveries: { __typename?: 'DeliveryConnection', nodes: Array<{ __typename?: 'Delivery', id: string, webhookId: string, attempt: number, at: string, statusCode?: number | null, failure?: string | null, latencyMs: number, answer?: string | null, nextAttemptAt?: string | null }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null } } } | null };

export type RedeliverCallbackMutationVariables = Exact<{
  input: RedeliverCallbackInput;
}>;


export type RedeliverCallbackMutation = { __typename?: 'Mutation', redeliverCallback: { __typename?: 'RedeliverCallbackPayload', task?: { __typename?: 'Task', id: string } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type WebhookSecretQueryVariables = Exact<{ [key: string]: never; }>;


export type WebhookSecretQuery = { __typename?: 'Query', webhookSecret: { __typename?: 'WebhookSecret', secret: string, previousUntil?: string | null } };

export type RotateWebhookSecretMutationVariables = Exact<{
  input: RotateWebhookSecretInput;
}>;


export type RotateWebhookSecretMutation = { __typename?: 'Mutation', rotateWebhookSecret: { __typename?: 'RotateWebhookSecretPayload', webhookSecret?: { __typename?: 'WebhookSecret', secret: string, previousUntil?: string | null } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type TaskHistoryQueryVariables = Exact<{
  id: Scalars['ID']['input'];
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
}>;


export type TaskHistoryQuery = { __typename?: 'Query', task?: { __typename?: 'Task', id: string, status: TaskStatus, events: { __typename?: 'TaskEventConnection', nodes: Array<{ __typename?: 'TaskEvent', id: string, cursor: string, type: TaskEventType, at: string, actor: string, data: unknown }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null } } } | null };

export type TasksQueryVariables = Exact<{
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<TaskFilter>;
}>;


export type TasksQuery = { __typename?: 'Query', tasks: { __typename?: 'TaskConnection', edges: Array<{ __typename?: 'TaskEdge', cursor: string, node: { __typename?: 'Task', id: string } }>, nodes: Array<{ __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, cursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, hasPreviousPage: boolean, startCursor?: string | null, endCursor?: string | null, logCursor?: string | null } } };

export type ImageByIdQueryVariables = Exact<{
  id: Scalars['ID']['input'];
}>;


export type ImageByIdQuery = { __typename?: 'Query', image?: { __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null, task?: { __typename?: 'Task', id: string } | null, parent?: { __typename?: 'Image', id: string } | null } | null };

export type GenerateImagesMutationVariables = Exact<{
  input: GenerateImagesInput;
}>;


export type GenerateImagesMutation = { __typename?: 'Mutation', generateImages: { __typename?: 'GenerateImagesPayload', replayed: boolean, task?: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, cursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type EditImageMutationVariables = Exact<{
  input: EditImageInput;
}>;


export type EditImageMutation = { __typename?: 'Mutation', editImage: { __typename?: 'EditImagePayload', replayed: boolean, task?: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, cursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type CancelTaskMutationVariables = Exact<{
  input: CancelTaskInput;
}>;


export type CancelTaskMutation = { __typename?: 'Mutation', cancelTask: { __typename?: 'CancelTaskPayload', outcome?: CancelOutcome | null, task?: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, cursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type RetryTaskMutationVariables = Exact<{
  input: RetryTaskInput;
}>;


export type RetryTaskMutation = { __typename?: 'Mutation', retryTask: { __typename?: 'RetryTaskPayload', task?: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, cursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type CallbacksQueryVariables = Exact<{
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<CallbackFilter>;
}>;


export type CallbacksQuery = { __typename?: 'Query', callbacks: { __typename?: 'CallbackConnection', nodes: Array<{ __typename?: 'Callback', id: string, receivedAt: string, verdict: CallbackVerdict, body: string, task?: { __typename?: 'Task', id: string } | null }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null } } };

export type ReplayCallbackMutationVariables = Exact<{
  input: ReplayCallbackInput;
}>;


export type ReplayCallbackMutation = { __typename?: 'Mutation', replayCallback: { __typename?: 'ReplayCallbackPayload', callback?: { __typename?: 'Callback', id: string, verdict: CallbackVerdict } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type TaskUpdatedSubscriptionVariables = Exact<{
  id: Scalars['ID']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
}>;


export type TaskUpdatedSubscription = { __typename?: 'Subscription', taskUpdated: { __typename?: 'TaskEvent', id: string, cursor: string, type: TaskEventType, at: string, actor: string, data: unknown, task: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, cursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } } };

export type TaskEventsSubscriptionVariables = Exact<{
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<TaskEventFilter>;
}>;


export type TaskEventsSubscription = { __typename?: 'Subscription', taskEvents: { __typename?: 'TaskEvent', id: string, cursor: string, type: TaskEventType, at: string, actor: string, data: unknown, task: { __typename?: 'Task', id: string, status: TaskStatus } } };

export type EventPageQueryVariables = Exact<{
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<TaskEventFilter>;
}>;


export type EventPageQuery = { __typename?: 'Query', taskEvents: { __typename?: 'TaskEventConnection', nodes: Array<{ __typename?: 'TaskEvent', id: string, cursor: string, type: TaskEventType, task: { __typename?: 'Task', id: string } }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null, logCursor?: string | null } } };

export type CreateUploadMutationVariables = Exact<{
  input: CreateUploadInput;
}>;


export type CreateUploadMutation = { __typename?: 'Mutation', createUpload: { __typename?: 'CreateUploadPayload', upload?: { __typename?: 'Upload', imageId: string, url: string, maxBytes: number, expiresAt: string } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type DeleteImageMutationVariables = Exact<{
  input: DeleteImageInput;
}>;


export type DeleteImageMutation = { __typename?: 'Mutation', deleteImage: { __typename?: 'DeleteImagePayload', image?: { __typename?: 'Image', id: string, deletedAt?: string | null } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type LineageQueryVariables = Exact<{
  id: Scalars['ID']['input'];
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
  width?: InputMaybe<Scalars['Int']['input']>;
  format?: InputMaybe<ImageFormat>;
}>;


export type LineageQuery = { __typename?: 'Query', image?: { __typename?: 'Image', id: string, url: string, deletedAt?: string | null, parent?: { __typename?: 'Image', id: string } | null, edits: { __typename?: 'ImageConnection', nodes: Array<{ __typename?: 'Image', id: string, task?: { __typename?: 'Task', prompt: string } | null }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null } } } | null };

export type QueuePositionsQueryVariables = Exact<{
  first: Scalars['Int']['input'];
}>;


export type QueuePositionsQuery = { __typename?: 'Query', tasks: { __typename?: 'TaskConnection', nodes: Array<{ __typename?: 'Task', id: string, status: TaskStatus, priority: TaskPriority, queuePosition?: number | null }> } };

export type SetBudgetMutationVariables = Exact<{
  input: SetBudgetInput;
}>;


export type SetBudgetMutation = { __typename?: 'Mutation', setBudget: { __typename?: 'SetBudgetPayload', budget?: { __typename?: 'Budget', scope: BudgetScope, id: string, month: string, currency: string, limit: string, reserved: string, spent: string, held: string, remaining: string } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type BudgetsQueryVariables = Exact<{
  month?: InputMaybe<Scalars['String']['input']>;
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
}>;


export type BudgetsQuery = { __typename?: 'Query', budgets: { __typename?: 'BudgetConnection', nodes: Array<{ __typename?: 'Budget', scope: BudgetScope, id: string, month: string, currency: string, limit: string, reserved: string, spent: string, held: string, remaining: string }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null } } };

export type UsageQueryVariables = Exact<{
  from: Scalars['DateTime']['input'];
  to: Scalars['DateTime']['input'];
  groupBy: UsageGrouping;
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
}>;


export type UsageQuery = { __typename?: 'Query', usage: { __typename?: 'UsageGroupConnection', nodes: Array<{ __typename?: 'UsageGroup', key?: string | null, name?: string | null, tasks: number, images: number, currency?: string | null, cost?: string | null, reserved?: string | null, held?: string | null }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null } } };

export const ImageFieldsFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}}]} as unknown as DocumentNode<ImageFieldsFragment, unknown>;
export const TaskFieldsFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}}]} as unknown as DocumentNode<TaskFieldsFragment, unknown>;
export const ViewerDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Viewer"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"viewer"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"workspaceId"}},{"kind":"Field","name":{"kind":"Name","value":"workspaceName"}},{"kind":"Field","name":{"kind":"Name","value":"keyId"}},{"kind":"Field","name":{"kind":"Name","value":"keyName"}},{"kind":"Field","name":{"kind":"Name","value":"keyPrefix"}},{"kind":"Field","name":{"kind":"Name","value":"scopes"}}]}}]}}]} as unknown as DocumentNode<ViewerQuery, ViewerQueryVariables>;
export const ModelsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Models"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"models"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"canGenerate"}},{"kind":"Field","name":{"kind":"Name","value":"canEdit"}},{"kind":"Field","name":{"kind":"Name","value":"isDeprecated"}},{"kind":"Field","name":{"kind":"Name","value":"ratios"}},{"kind":"Field","name":{"kind":"Name","value":"pixels"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"minSide"}},{"kind":"Field","name":{"kind":"Name","value":"maxSide"}},{"kind":"Field","name":{"kind":"Name","value":"multipleOf"}}]}},{"kind":"Field","name":{"kind":"Name","value":"maxCount"}},{"kind":"Field","name":{"kind":"Name","value":"defaultSize"}}]}}]}}]} as unknown as DocumentNode<ModelsQuery, ModelsQueryVariables>;
export const TaskByIdDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"TaskById"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}},{"kind":"Field","name":{"kind":"Name","value":"lateImages"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}}]}}]} as unknown as DocumentNode<TaskByIdQuery, TaskByIdQueryVariables>;
export const TaskDeliveriesDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"TaskDeliveries"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"callbackUrl"}},{"kind":"Field","name":{"kind":"Name","value":"deliveries"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"webhookId"}},{"kind":"Field","name":{"kind":"Name","value":"attempt"}},{"kind":"Field","name":{"kind":"Name","value":"at"}},{"kind":"Field","name":{"kind":"Name","value":"statusCode"}},{"kind":"Field","name":{"kind":"Name","value":"failure"}},{"kind":"Field","name":{"kind":"Name","value":"latencyMs"}},{"kind":"Field","name":{"kind":"Name","value":"answer"}},{"kind":"Field","name":{"kind":"Name","value":"nextAttemptAt"}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]}}]} as unknown as DocumentNode<TaskDeliveriesQuery, TaskDeliveriesQueryVariables>;
export const RedeliverCallbackDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"RedeliverCallback"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"RedeliverCallbackInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"redeliverCallback"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<RedeliverCallbackMutation, RedeliverCallbackMutationVariables>;
export const WebhookSecretDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"WebhookSecret"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"webhookSecret"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"secret"}},{"kind":"Field","name":{"kind":"Name","value":"previousUntil"}}]}}]}}]} as unknown as DocumentNode<WebhookSecretQuery, WebhookSecretQueryVariables>;
export const RotateWebhookSecretDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"RotateWebhookSecret"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"RotateWebhookSecretInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"rotateWebhookSecret"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"webhookSecret"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"secret"}},{"kind":"Field","name":{"kind":"Name","value":"previousUntil"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<RotateWebhookSecretMutation, RotateWebhookSecretMutationVariables>;
export const TaskHistoryDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"TaskHistory"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"events"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"type"}},{"kind":"Field","name":{"kind":"Name","value":"at"}},{"kind":"Field","name":{"kind":"Name","value":"actor"}},{"kind":"Field","name":{"kind":"Name","value":"data"}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]}}]} as unknown as DocumentNode<TaskHistoryQuery, TaskHistoryQueryVariables>;
export const TasksDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Tasks"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"filter"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"TaskFilter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"tasks"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"Variable","name":{"kind":"Name","value":"filter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"edges"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"node"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"hasPreviousPage"}},{"kind":"Field","name":{"kind":"Name","value":"startCursor"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}},{"kind":"Field","name":{"kind":"Name","value":"logCursor"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}}]}}]} as unknown as DocumentNode<TasksQuery, TasksQueryVariables>;
export const ImageByIdDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"ImageById"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"image"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"parent"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}}]} as unknown as DocumentNode<ImageByIdQuery, ImageByIdQueryVariables>;
export const GenerateImagesDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"GenerateImages"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"GenerateImagesInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"generateImages"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"replayed"}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}}]}}]} as unknown as DocumentNode<GenerateImagesMutation, GenerateImagesMutationVariables>;
export const EditImageDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"EditImage"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"EditImageInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"editImage"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"replayed"}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}}]}}]} as unknown as DocumentNode<EditImageMutation, EditImageMutationVariables>;
export const CancelTaskDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"CancelTask"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"CancelTaskInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cancelTask"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"outcome"}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}}]}}]} as unknown as DocumentNode<CancelTaskMutation, CancelTaskMutationVariables>;
export const RetryTaskDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"RetryTask"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"RetryTaskInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"retryTask"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}}]}}]} as unknown as DocumentNode<RetryTaskMutation, RetryTaskMutationVariables>;
export const CallbacksDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Callbacks"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"filter"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"CallbackFilter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"callbacks"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"Variable","name":{"kind":"Name","value":"filter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"receivedAt"}},{"kind":"Field","name":{"kind":"Name","value":"verdict"}},{"kind":"Field","name":{"kind":"Name","value":"body"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]} as unknown as DocumentNode<CallbacksQuery, CallbacksQueryVariables>;
export const ReplayCallbackDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"ReplayCallback"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ReplayCallbackInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"replayCallback"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"callback"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"verdict"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<ReplayCallbackMutation, ReplayCallbackMutationVariables>;
export const TaskUpdatedDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"subscription","name":{"kind":"Name","value":"TaskUpdated"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"taskUpdated"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"type"}},{"kind":"Field","name":{"kind":"Name","value":"at"}},{"kind":"Field","name":{"kind":"Name","value":"actor"}},{"kind":"Field","name":{"kind":"Name","value":"data"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}}]}}]} as unknown as DocumentNode<TaskUpdatedSubscription, TaskUpdatedSubscriptionVariables>;
export const TaskEventsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"subscription","name":{"kind":"Name","value":"TaskEvents"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"filter"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"TaskEventFilter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"taskEvents"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"Variable","name":{"kind":"Name","value":"filter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"type"}},{"kind":"Field","name":{"kind":"Name","value":"at"}},{"kind":"Field","name":{"kind":"Name","value":"actor"}},{"kind":"Field","name":{"kind":"Name","value":"data"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}}]}}]}}]} as unknown as DocumentNode<TaskEventsSubscription, TaskEventsSubscriptionVariables>;
export const EventPageDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"EventPage"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"filter"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"TaskEventFilter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"taskEvents"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"Variable","name":{"kind":"Name","value":"filter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"type"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}},{"kind":"Field","name":{"kind":"Name","value":"logCursor"}}]}}]}}]}}]} as unknown as DocumentNode<EventPageQuery, EventPageQueryVariables>;
export const CreateUploadDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"CreateUpload"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"CreateUploadInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"createUpload"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"upload"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"imageId"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"maxBytes"}},{"kind":"Field","name":{"kind":"Name","value":"expiresAt"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<CreateUploadMutation, CreateUploadMutationVariables>;
export const DeleteImageDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"DeleteImage"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"DeleteImageInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"deleteImage"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"image"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"deletedAt"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<DeleteImageMutation, DeleteImageMutationVariables>;
export const LineageDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Lineage"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"width"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"format"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"ImageFormat"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"image"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"url"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"width"},"value":{"kind":"Variable","name":{"kind":"Name","value":"width"}}},{"kind":"Argument","name":{"kind":"Name","value":"format"},"value":{"kind":"Variable","name":{"kind":"Name","value":"format"}}}]},{"kind":"Field","name":{"kind":"Name","value":"deletedAt"}},{"kind":"Field","name":{"kind":"Name","value":"parent"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"edits"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"prompt"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]}}]} as unknown as DocumentNode<LineageQuery, LineageQueryVariables>;
export const QueuePositionsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"QueuePositions"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"tasks"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"ObjectValue","fields":[{"kind":"ObjectField","name":{"kind":"Name","value":"statuses"},"value":{"kind":"ListValue","values":[{"kind":"EnumValue","value":"QUEUED"}]}}]}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"priority"}},{"kind":"Field","name":{"kind":"Name","value":"queuePosition"}}]}}]}}]}}]} as unknown as DocumentNode<QueuePositionsQuery, QueuePositionsQueryVariables>;
export const SetBudgetDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"SetBudget"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"SetBudgetInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"setBudget"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"budget"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"scope"}},{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"month"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"limit"}},{"kind":"Field","name":{"kind":"Name","value":"reserved"}},{"kind":"Field","name":{"kind":"Name","value":"spent"}},{"kind":"Field","name":{"kind":"Name","value":"held"}},{"kind":"Field","name":{"kind":"Name","value":"remaining"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<SetBudgetMutation, SetBudgetMutationVariables>;
export const BudgetsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Budgets"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"month"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"budgets"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"month"},"value":{"kind":"Variable","name":{"kind":"Name","value":"month"}}},{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"scope"}},{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"month"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"limit"}},{"kind":"Field","name":{"kind":"Name","value":"reserved"}},{"kind":"Field","name":{"kind":"Name","value":"spent"}},{"kind":"Field","name":{"kind":"Name","value":"held"}},{"kind":"Field","name":{"kind":"Name","value":"remaining"}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]} as unknown as DocumentNode<BudgetsQuery, BudgetsQueryVariables>;
export const UsageDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Usage"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"from"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"DateTime"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"to"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"DateTime"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"groupBy"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"UsageGrouping"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"usage"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"from"},"value":{"kind":"Variable","name":{"kind":"Name","value":"from"}}},{"kind":"Argument","name":{"kind":"Name","value":"to"},"value":{"kind":"Variable","name":{"kind":"Name","value":"to"}}},{"kind":"Argument","name":{"kind":"Name","value":"groupBy"},"value":{"kind":"Variable","name":{"kind":"Name","value":"groupBy"}}},{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"key"}},{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"tasks"}},{"kind":"Field","name":{"kind":"Name","value":"images"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"cost"}},{"kind":"Field","name":{"kind":"Name","value":"reserved"}},{"kind":"Field","name":{"kind":"Name","value":"held"}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]} as unknown as DocumentNode<UsageQuery, UsageQueryVariables>;