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

/** An API key of the workspace. The key itself is shown once, when it is created, and is not stored. */
export type ApiKey = {
  __typename?: 'ApiKey';
  /** Time when the key was created. */
  createdAt: Scalars['DateTime']['output'];
  /** Time when the key expires. Null if it does not expire. */
  expiresAt?: Maybe<Scalars['DateTime']['output']>;
  /** ID of the API key. It is not secret. */
  id: Scalars['ID']['output'];
  /** Last four characters of the key. Null if the key was created before they were recorded. */
  lastFour?: Maybe<Scalars['String']['output']>;
  /** Time when the key was last used, accurate to about a minute. Null if it never was. */
  lastUsedAt?: Maybe<Scalars['DateTime']['output']>;
  /** Usage limits for this key. */
  limits: Limits;
  /** ID that the key shares with the keys that it replaced and that replaced it: the ID of the first of them. Budgets, rate limits and other limits of an API key count all of them together. */
  lineageId: Scalars['ID']['output'];
  /** Display name, as in the `actor` of events and audit entries. */
  name: Scalars['String']['output'];
  /** First 9 characters of the key, such as dk_AbC123. They help you tell keys apart and are not secret. */
  prefix: Scalars['String']['output'];
  /** Time when the key was revoked. Null if it was not revoked. */
  revokedAt?: Maybe<Scalars['DateTime']['output']>;
  /** Scopes of the key, such as "tasks:write". */
  scopes: Array<Scalars['String']['output']>;
};

/** A page of API keys, newest first. */
export type ApiKeyConnection = {
  __typename?: 'ApiKeyConnection';
  /** The items with their cursors. */
  edges: Array<ApiKeyEdge>;
  /** The items. */
  nodes: Array<ApiKey>;
  /** Position of the page in the list. */
  pageInfo: PageInfo;
};

/** A list item with its cursor. */
export type ApiKeyEdge = {
  __typename?: 'ApiKeyEdge';
  /** Opaque cursor of this item. Pass it as `after` to get the items that follow. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: ApiKey;
};

/** Kind of an audit entry. */
export type AuditAction =
  /** An API key was created. `data` holds its name and scopes. */
  | 'API_KEY_CREATED'
  /** An API key was revoked. */
  | 'API_KEY_REVOKED'
  /** An API key was rotated. `data` holds the new key's ID and the grace period in seconds. */
  | 'API_KEY_ROTATED'
  /** A credential was rejected `data.count` times within a minute. `data.kind` is MALFORMED, UNKNOWN_KEY, REVOKED_KEY, EXPIRED_KEY or TOKEN_INVALID. Entries without a known key are visible only to callers with the scope `workspaces:admin`. */
  | 'AUTHENTICATION_FAILED'
  /** A budget was set, changed or removed. */
  | 'BUDGET_CHANGED'
  /** A stored upstream callback was processed again. */
  | 'CALLBACK_REPLAYED'
  /** A client token was created. `targetId` is the ID of the token, its JWT claim `jti`. */
  | 'CLIENT_TOKEN_CREATED'
  /** An image was deleted. */
  | 'IMAGE_DELETED'
  /** A redelivery of a task's results to its `webhookUrl` was requested. */
  | 'WEBHOOK_REDELIVERED'
  /** The secret that signs webhooks was replaced. */
  | 'WEBHOOK_SECRET_ROTATED'
  /** An API key of this workspace created another workspace. */
  | 'WORKSPACE_CREATED';

/** A privileged action or a rejected credential, recorded in the audit log. Entries are immutable. Only failed authentications are deleted, after 30 days. */
export type AuditEntry = {
  __typename?: 'AuditEntry';
  /** The action. */
  action: AuditAction;
  /** Name of the API key that performed the action. "anonymous" if the rejected credential belongs to no known key, "identity provider" for a token of the identity provider, "first start" and "key:create" for keys that Darkroom itself created. */
  actor: Scalars['String']['output'];
  /** Time of the action. */
  at: Scalars['DateTime']['output'];
  /** IP address of the client. Null if it is unknown. */
  clientAddress?: Maybe<Scalars['String']['output']>;
  /** Details of the action as a JSON object. Its fields depend on the action. It never contains secrets. */
  data: Scalars['JSON']['output'];
  /** End user of the client token that performed the action. Null if there was none. */
  endUserId?: Maybe<Scalars['String']['output']>;
  /** ID of the entry. */
  id: Scalars['ID']['output'];
  /** ID of the API key that performed the action. Null if there was none. */
  keyId?: Maybe<Scalars['ID']['output']>;
  /** ID of the object that was acted on. Null if there was none. */
  targetId?: Maybe<Scalars['String']['output']>;
};

/** A page of audit entries, newest first. */
export type AuditEntryConnection = {
  __typename?: 'AuditEntryConnection';
  /** The items with their cursors. */
  edges: Array<AuditEntryEdge>;
  /** The items. */
  nodes: Array<AuditEntry>;
  /** Position of the page in the list. */
  pageInfo: PageInfo;
};

/** A list item with its cursor. */
export type AuditEntryEdge = {
  __typename?: 'AuditEntryEdge';
  /** Opaque cursor of this item. Pass it as `after` to get the items that follow. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: AuditEntry;
};

/** Conditions on audit entries. An entry must meet all of them. */
export type AuditFilter = {
  /** Entries with one of these actions. Empty or omitted: any. */
  actions?: InputMaybe<Array<AuditAction>>;
  /** Actions of the API key with this ID. Omitted: any. */
  keyId?: InputMaybe<Scalars['ID']['input']>;
  /** Entries at or after this time. */
  since?: InputMaybe<Scalars['DateTime']['input']>;
  /** Entries before this time. */
  until?: InputMaybe<Scalars['DateTime']['input']>;
};

/** A monthly spending limit and how much of it is used. Months are in UTC, and a task counts in the month of its request. Amounts are decimal numbers as strings. */
export type Budget = {
  __typename?: 'Budget';
  /** ISO 4217 currency code, such as USD. */
  currency: Scalars['String']['output'];
  /** Maximum spending per month. */
  limit: Scalars['String']['output'];
  /** Month that the amounts are for, as YYYY-MM. */
  month: Scalars['String']['output'];
  /** `limit` minus `reserved`, `spent` and `uncertain`. It can be negative if images arrived late, if more images arrived than were requested, or if the limit was lowered. */
  remaining: Scalars['String']['output'];
  /** Maximum total cost of the tasks that are not final yet. */
  reserved: Scalars['String']['output'];
  /** Scope of the budget: an API key, an end user or the workspace. */
  scope: BudgetScope;
  /** ID of the workspace, `lineageId` of the API key, or the workspace's own ID of the end user. */
  scopeId: Scalars['ID']['output'];
  /** Cost of the delivered images, including late ones. */
  spent: Scalars['String']['output'];
  /** Cost that the upstream may have charged for tasks that were canceled or expired after they were sent. It moves to `spent` if late images arrive, and is released if the upstream reports a failure. */
  uncertain: Scalars['String']['output'];
};

/** A page of budgets: those of end users, then of API keys, then of the workspace, each by ID. */
export type BudgetConnection = {
  __typename?: 'BudgetConnection';
  /** The items with their cursors. */
  edges: Array<BudgetEdge>;
  /** The items. */
  nodes: Array<Budget>;
  /** Position of the page in the list. */
  pageInfo: PageInfo;
};

/** A list item with its cursor. */
export type BudgetEdge = {
  __typename?: 'BudgetEdge';
  /** Opaque cursor of this item. Pass it as `after` to get the items that follow. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: Budget;
};

/** Whose spending a budget limits. */
export type BudgetScope =
  /** Tasks requested with one API key, or with the keys that it replaced or that replaced it. */
  | 'API_KEY'
  /** Tasks requested for one end user. */
  | 'END_USER'
  /** All tasks of the workspace. */
  | 'WORKSPACE';

/** A POST from the upstream to the callback URL of a task, and its effect. It is deleted after the retention period that the operator has set, by default 30 days. */
export type Callback = {
  __typename?: 'Callback';
  /** Body of the POST as text, unchanged. Bytes that are not valid UTF-8 become replacement characters (U+FFFD). */
  body: Scalars['String']['output'];
  /** ID of the callback, a UUIDv7. */
  id: Scalars['ID']['output'];
  /** Time when the callback was received. */
  receivedAt: Scalars['DateTime']['output'];
  /** Task whose callback URL received the POST. Null if it does not exist. */
  task?: Maybe<Task>;
  /** Effect of the callback. */
  verdict: CallbackVerdict;
};

/** A page of callbacks, newest first. */
export type CallbackConnection = {
  __typename?: 'CallbackConnection';
  /** The items with their cursors. */
  edges: Array<CallbackEdge>;
  /** The items. */
  nodes: Array<Callback>;
  /** Position of the page in the list. */
  pageInfo: PageInfo;
};

/** A list item with its cursor. */
export type CallbackEdge = {
  __typename?: 'CallbackEdge';
  /** Opaque cursor of this item. Pass it as `after` to get the items that follow. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: Callback;
};

/** Conditions on callbacks. A callback must meet all of them. */
export type CallbackFilter = {
  /** Callbacks for the task with this ID. Omitted: any. */
  taskId?: InputMaybe<Scalars['ID']['input']>;
  /** Callbacks with one of these verdicts. Empty or omitted: any. */
  verdicts?: InputMaybe<Array<CallbackVerdict>>;
};

/** Effect of an upstream callback. */
export type CallbackVerdict =
  /** The callback completed the task. */
  | 'APPLIED'
  /** The callback reports a failure, but the task has already succeeded, or the failure is that of an earlier attempt. Nothing changed. */
  | 'CONFLICT'
  /** The task had this result already. Nothing changed. */
  | 'DUPLICATE'
  /** The callback completed the task before the upstream's response to the submission was processed. */
  | 'EARLY'
  /** The task was already final, without images or with an incomplete result. The images that it lacked are kept as late images. */
  | 'LATE'
  /** The body is not JSON, or reports neither an image nor a failure. The task continues. */
  | 'MALFORMED'
  /** No task has the ID in the callback URL. Nothing changed. */
  | 'UNKNOWN_TASK';

/** Effect of canceling a task. */
export type CancelOutcome =
  /** The task was final already. Nothing changed. */
  | 'ALREADY_FINISHED'
  /** The task was canceled after it was sent to the upstream. The upstream cannot be stopped and may bill the task. Images that still arrive are kept as late images. */
  | 'ALREADY_SENT'
  /** The task was canceled before anything was sent to the upstream. */
  | 'NOT_SENT';

/** Input for canceling a task. */
export type CancelTaskInput = {
  /** ID of the task. */
  id: Scalars['ID']['input'];
};

/** Output of `cancelTask`. */
export type CancelTaskPayload = {
  __typename?: 'CancelTaskPayload';
  /** Effect of the request. Null if there are `userErrors`. */
  outcome?: Maybe<CancelOutcome>;
  /** The task in its current state. Null if there are `userErrors`. */
  task?: Maybe<Task>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** Input for creating an API key. */
export type CreateApiKeyInput = {
  /** Time when the key expires, in the future and at most ten years away. Omitted: it does not expire. */
  expiresAt?: InputMaybe<Scalars['DateTime']['input']>;
  /** Usage limits for the key. Omitted: no limits of its own. */
  limits?: InputMaybe<LimitsInput>;
  /** Display name, 1 to 100 characters. It becomes the `actor` of events and audit entries. */
  name: Scalars['String']['input'];
  /** Scopes of the key: one or more of tasks:read, tasks:write, images:write, audit:read, keys:admin, workspaces:admin. The caller cannot grant a scope that it does not have. */
  scopes: Array<Scalars['String']['input']>;
};

/** Output of `createApiKey`. */
export type CreateApiKeyPayload = {
  __typename?: 'CreateApiKeyPayload';
  /** The new API key. Null if there are `userErrors`. */
  apiKey?: Maybe<ApiKey>;
  /** The new API key itself. It is shown only here. Null if there are `userErrors`. */
  secret?: Maybe<Scalars['String']['output']>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** Input for creating a client token. */
export type CreateClientTokenInput = {
  /** Your own ID of the end user that the token is for, 1 to 255 characters. The token then sees and creates only what belongs to that end user. Omitted: it sees the whole workspace. */
  endUserId?: InputMaybe<Scalars['String']['input']>;
  /** Seconds until the token expires, from 60 to 86400 (a day). Default: 3600 (an hour). A token never outlives its API key. */
  expiresInSeconds?: InputMaybe<Scalars['Int']['input']>;
  /** Usage limits for the token. They must not exceed the limits of its API key, which apply as well. Omitted: only the limits of the key apply. */
  limits?: InputMaybe<LimitsInput>;
  /** Scopes of the token: one or more of tasks:read, tasks:write, images:write, audit:read. The API key cannot grant a scope that it does not have. */
  scopes: Array<Scalars['String']['input']>;
  /** IDs of the tasks that the token may see, 1 to 100. The token then cannot create anything. Omitted: all tasks. */
  taskIds?: InputMaybe<Array<Scalars['ID']['input']>>;
};

/** Output of `createClientToken`. */
export type CreateClientTokenPayload = {
  __typename?: 'CreateClientTokenPayload';
  /** Time when the token expires. Null if there are `userErrors`. */
  expiresAt?: Maybe<Scalars['DateTime']['output']>;
  /** The token itself. It is sent like an API key: `Authorization: Bearer <token>`. It is shown only here and is not stored. Null if there are `userErrors`. */
  token?: Maybe<Scalars['String']['output']>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** Input for uploading an image. */
export type CreateUploadInput = {
  /** File name, up to 255 characters. The file name that browsers suggest for downloads is derived from it. */
  fileName?: InputMaybe<Scalars['String']['input']>;
};

/** Output of `createUpload`. */
export type CreateUploadPayload = {
  __typename?: 'CreateUploadPayload';
  /** The upload link. Null if there are `userErrors`. */
  upload?: Maybe<Upload>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** Input for creating a workspace with its first API key. */
export type CreateWorkspaceInput = {
  /** Display name, 1 to 100 characters. */
  name: Scalars['String']['input'];
  /** Scopes of the workspace's first API key: one or more of tasks:read, tasks:write, images:write, audit:read, keys:admin, workspaces:admin. The caller cannot grant a scope that it does not have. */
  scopes: Array<Scalars['String']['input']>;
};

/** Output of `createWorkspace`. */
export type CreateWorkspacePayload = {
  __typename?: 'CreateWorkspacePayload';
  /** The workspace's first API key. Null if there are `userErrors`. */
  apiKey?: Maybe<ApiKey>;
  /** The API key itself. It is shown only here. Null if there are `userErrors`. */
  secret?: Maybe<Scalars['String']['output']>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
  /** The new workspace. Null if there are `userErrors`. */
  workspace?: Maybe<Workspace>;
};

/** Input for deleting an image. */
export type DeleteImageInput = {
  /** ID of the image. */
  id: Scalars['ID']['input'];
};

/** Output of `deleteImage`. */
export type DeleteImagePayload = {
  __typename?: 'DeleteImagePayload';
  /** The deleted image. Its record remains. Null if there are `userErrors`. */
  image?: Maybe<Image>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** Input for editing an image. It needs exactly one source: `sourceImageId` or `sourceImageUrl`. */
export type EditImageInput = {
  /** Your own ID of the end user that the request is for, 1 to 255 characters. Omit it if the client token is limited to an end user. */
  endUserId?: InputMaybe<Scalars['String']['input']>;
  /** Key that makes it safe to send the request again, 1 to 255 characters. A repeated key with the same input returns the existing task. With different input, it gives the user error IDEMPOTENCY_CONFLICT. Default: the header `Idempotency-Key`. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
  /** Any JSON value of your own, up to 4,096 bytes. `Task.metadata` returns it unchanged. */
  metadata?: InputMaybe<Scalars['JSON']['input']>;
  /** Name of a model from `models` with `canEdit`. Default: flux-kontext-pro. */
  model?: InputMaybe<Scalars['String']['input']>;
  /** Priority among the queued tasks of the same end user. It does not affect other end users or workspaces. */
  priority?: InputMaybe<TaskPriority>;
  /** Text that describes the change, 1 to 4,000 characters. */
  prompt: Scalars['String']['input'];
  /** Aspect ratio such as "16:9", or a size in pixels such as "1024x1024", as in `GenerateImagesInput.size`. Default: the aspect ratio nearest to that of the source image if Darkroom stores it, and otherwise the `defaultSize` of the model. */
  size?: InputMaybe<Scalars['String']['input']>;
  /** ID of the image to edit. It must be stored in Darkroom: generated, edited or uploaded. */
  sourceImageId?: InputMaybe<Scalars['ID']['input']>;
  /** Public http or https URL of the image to edit, up to 2,048 characters. It must lead directly to the image, not to a page. */
  sourceImageUrl?: InputMaybe<Scalars['String']['input']>;
  /** Seconds until the task expires, from 10 to 3600. Default: 600. */
  timeoutSeconds?: InputMaybe<Scalars['Int']['input']>;
  /** Public http or https URL to which the result is posted, up to 2,048 characters. Omitted: no webhook. See docs/PROTOCOL.md, "Webhooks". */
  webhookUrl?: InputMaybe<Scalars['String']['input']>;
};

/** Output of `editImage`. */
export type EditImagePayload = {
  __typename?: 'EditImagePayload';
  /** Whether an earlier request with the same idempotency key created the task. */
  replayed: Scalars['Boolean']['output'];
  /** The task. Null if there are `userErrors`. */
  task?: Maybe<Task>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** A model and the input it accepts. It has everything a form needs to offer only valid input. */
export type FluxModel = {
  __typename?: 'FluxModel';
  /** Accepted aspect ratios, such as "16:9". Empty if the model takes sizes in pixels. */
  aspectRatios: Array<Scalars['String']['output']>;
  /** Whether `editImage` accepts the model. */
  canEdit: Scalars['Boolean']['output'];
  /** Whether `generateImages` accepts the model. */
  canGenerate: Scalars['Boolean']['output'];
  /** Size of a generated image when the request has no `size`. */
  defaultSize: Scalars['String']['output'];
  /** Whether the upstream advises against the model. It may be removed. */
  isDeprecated: Scalars['Boolean']['output'];
  /** Maximum number of images per request. */
  maxCount: Scalars['Int']['output'];
  /** Name of the model: the value for `model` in an input. */
  name: Scalars['String']['output'];
  /** Accepted sizes in pixels. Null if the model takes aspect ratios. */
  pixelSizes?: Maybe<PixelSizeConstraints>;
};

/** Input for generating images from a text prompt. */
export type GenerateImagesInput = {
  /** Number of images, from 1 to the model's `maxCount`. The upstream may deliver fewer. */
  count?: InputMaybe<Scalars['Int']['input']>;
  /** Your own ID of the end user that the request is for, 1 to 255 characters. Omit it if the client token is limited to an end user. */
  endUserId?: InputMaybe<Scalars['String']['input']>;
  /** Key that makes it safe to send the request again, 1 to 255 characters. A repeated key with the same input returns the existing task. With different input, it gives the user error IDEMPOTENCY_CONFLICT. Default: the header `Idempotency-Key`. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
  /** Any JSON value of your own, up to 4,096 bytes. `Task.metadata` returns it unchanged. */
  metadata?: InputMaybe<Scalars['JSON']['input']>;
  /** Name of a model from `models` with `canGenerate`. Default: flux-dev. */
  model?: InputMaybe<Scalars['String']['input']>;
  /** Priority among the queued tasks of the same end user. It does not affect other end users or workspaces. */
  priority?: InputMaybe<TaskPriority>;
  /** Text that describes the images, 1 to 4,000 characters. */
  prompt: Scalars['String']['input'];
  /** Size in pixels such as "1024x768", or an aspect ratio such as "16:9", depending on the model. The other spelling is accepted when it means the same: "1024x1024" is "1:1". Default: the `defaultSize` of the model. */
  size?: InputMaybe<Scalars['String']['input']>;
  /** Seconds until the task expires, from 10 to 3600. Default: 600. */
  timeoutSeconds?: InputMaybe<Scalars['Int']['input']>;
  /** Public http or https URL to which the result is posted, up to 2,048 characters. Omitted: no webhook. See docs/PROTOCOL.md, "Webhooks". */
  webhookUrl?: InputMaybe<Scalars['String']['input']>;
};

/** Output of `generateImages`. */
export type GenerateImagesPayload = {
  __typename?: 'GenerateImagesPayload';
  /** Whether an earlier request with the same idempotency key created the task. */
  replayed: Scalars['Boolean']['output'];
  /** The task. Null if there are `userErrors`. */
  task?: Maybe<Task>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** A finished image: generated, edited or uploaded. Its width, height, type, size, hash and placeholder are null until Darkroom has stored its copy, usually a moment after the task succeeded. The event IMAGE_STORED reports that the copy is stored. After the event IMAGE_LOST, these fields stay null. */
export type Image = {
  __typename?: 'Image';
  /** Size of the stored original in bytes. */
  byteSize?: Maybe<Scalars['Int']['output']>;
  /** Reason why the stored bytes cannot be decoded as an image. They are kept as the upstream delivered them, served as a download only, and have no width, height, placeholder or variants. Null if they can be decoded or are not stored. */
  decodeError?: Maybe<Scalars['String']['output']>;
  /** Time when the image was deleted. Its URLs then return 410, and it can no longer be edited. Null if it was not deleted. */
  deletedAt?: Maybe<Scalars['DateTime']['output']>;
  /** Images that were edited from this one, oldest first. */
  edits: ImageConnection;
  /** Height in pixels, after EXIF orientation. */
  height?: Maybe<Scalars['Int']['output']>;
  /** ID of the image, a UUIDv7. */
  id: Scalars['ID']['output'];
  /** 0-based position in the upstream's result. 0 for an upload. */
  index: Scalars['Int']['output'];
  /** Inference time in seconds, as reported by the upstream. Null if the upstream reported none. */
  inferenceSeconds?: Maybe<Scalars['Float']['output']>;
  /** Reason why Darkroom has no copy of the image and makes no further attempt. `upstreamUrl` may still work. Null if the image is not lost. */
  lostReason?: Maybe<Scalars['String']['output']>;
  /** MIME type such as "image/png", determined by decoding the bytes. "application/octet-stream" if they cannot be decoded. */
  mimeType?: Maybe<Scalars['String']['output']>;
  /** Image that this one was edited from. Null if there is none or Darkroom does not store it. */
  parent?: Maybe<Image>;
  /** Seed reported by the upstream. The same seed and prompt reproduce the image. Null if the upstream reported none. */
  seed?: Maybe<Scalars['String']['output']>;
  /** SHA-256 of the stored original, in hexadecimal. */
  sha256?: Maybe<Scalars['String']['output']>;
  /** Time when Darkroom stored its copy of the image. Null until then. */
  storedAt?: Maybe<Scalars['DateTime']['output']>;
  /** Task that created the image. Null for an upload. */
  task?: Maybe<Task>;
  /** ThumbHash (a blurred preview of about 25 bytes) in base64. Show it as a placeholder while the image loads. */
  thumbhash?: Maybe<Scalars['String']['output']>;
  /** URL of the image at the upstream, for reference. It expires, so use `url` instead. Null for an upload. */
  upstreamUrl?: Maybe<Scalars['URL']['output']>;
  /** Time until which `upstreamUrl` works, as its signature says. Null if it does not say. */
  upstreamUrlExpiresAt?: Maybe<Scalars['DateTime']['output']>;
  /** Signed link to Darkroom's copy. Anyone who has it can read the image without an API key. It does not expire unless the operator has set a lifetime. */
  url: Scalars['URL']['output'];
  /** Width in pixels, after EXIF orientation. */
  width?: Maybe<Scalars['Int']['output']>;
};


/** A finished image: generated, edited or uploaded. Its width, height, type, size, hash and placeholder are null until Darkroom has stored its copy, usually a moment after the task succeeded. The event IMAGE_STORED reports that the copy is stored. After the event IMAGE_LOST, these fields stay null. */
export type ImageEditsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
};


/** A finished image: generated, edited or uploaded. Its width, height, type, size, hash and placeholder are null until Darkroom has stored its copy, usually a moment after the task succeeded. The event IMAGE_STORED reports that the copy is stored. After the event IMAGE_LOST, these fields stay null. */
export type ImageUrlArgs = {
  format?: InputMaybe<ImageFormat>;
  width?: InputMaybe<Scalars['Int']['input']>;
};

/** A page of images, oldest first. */
export type ImageConnection = {
  __typename?: 'ImageConnection';
  /** The items with their cursors. */
  edges: Array<ImageEdge>;
  /** The items. */
  nodes: Array<Image>;
  /** Position of the page in the list. */
  pageInfo: PageInfo;
};

/** A list item with its cursor. */
export type ImageEdge = {
  __typename?: 'ImageEdge';
  /** Opaque cursor of this item. Pass it as `after` to get the items that follow. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: Image;
};

/** Format in which an image is served. */
export type ImageFormat =
  /** AVIF. */
  | 'AVIF'
  /** JPEG. Transparent areas become white. */
  | 'JPEG'
  /** The format of the stored image. Without a `width`, the stored bytes are served unchanged. A GIF that is resized is served as PNG. */
  | 'ORIGINAL'
  /** PNG. */
  | 'PNG'
  /** WebP. */
  | 'WEBP';

/** Usage limits of an API key. A field is null if the key has no limit of its own. The limits that the operator has set then apply. */
export type Limits = {
  __typename?: 'Limits';
  /** Maximum number of connections open at the same time: WebSockets, event streams, and held requests to the Flux API, which are kept open until the result. */
  connections?: Maybe<Scalars['Int']['output']>;
  /** Maximum number of tasks in flight at the same time. A task is in flight from its creation until it is final. */
  generationsInFlight?: Maybe<Scalars['Int']['output']>;
  /** Maximum number of new tasks per minute. */
  generationsPerMinute?: Maybe<Scalars['Int']['output']>;
  /** Maximum number of requests per minute. Each GraphQL operation counts as a request, and so does each request to the Flux API, an event stream or `/usage.csv`. */
  requestsPerMinute?: Maybe<Scalars['Int']['output']>;
};

/** Usage limits of an API key or client token, each from 1 to 1000000. An omitted field sets no limit of its own. */
export type LimitsInput = {
  /** Maximum number of connections open at the same time: WebSockets, event streams, and held requests to the Flux API, which are kept open until the result. */
  connections?: InputMaybe<Scalars['Int']['input']>;
  /** Maximum number of tasks in flight at the same time. A task is in flight from its creation until it is final. */
  generationsInFlight?: InputMaybe<Scalars['Int']['input']>;
  /** Maximum number of new tasks per minute. */
  generationsPerMinute?: InputMaybe<Scalars['Int']['input']>;
  /** Maximum number of requests per minute. Each GraphQL operation counts as a request, and so does each request to the Flux API, an event stream or `/usage.csv`. */
  requestsPerMinute?: InputMaybe<Scalars['Int']['input']>;
};

/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type Mutation = {
  __typename?: 'Mutation';
  /** Cancels a task. A task that has not been sent to the upstream is never sent. A task that was sent cannot be stopped, and the upstream may bill it. Requires the scope `tasks:write`. */
  cancelTask: CancelTaskPayload;
  /** Creates an API key for the workspace. Only this response contains the key itself. Requires the scope `keys:admin`. */
  createApiKey: CreateApiKeyPayload;
  /** Creates a short-lived token for a browser, which can be limited to one end user or to certain tasks. It has no more permissions than its API key and becomes invalid with it. Requires an API key with the scope `tasks:read`. A client token cannot create tokens. */
  createClientToken: CreateClientTokenPayload;
  /** Creates a signed link for uploading an image that you want to edit. A browser can use the link without an API key. Requires the scope `images:write`. */
  createUpload: CreateUploadPayload;
  /** Creates another workspace and its first API key. Only this response contains the key itself. Requires the scope `workspaces:admin`. */
  createWorkspace: CreateWorkspacePayload;
  /** Deletes an image permanently. Its URLs then return 410. Its bytes are removed unless another image has the same bytes. Its record and events remain. Requires the scope `images:write`. */
  deleteImage: DeleteImagePayload;
  /** Requests an edit of an image and returns a task at once. The guarantees of `generateImages` apply. Requires the scope `tasks:write`. */
  editImage: EditImagePayload;
  /** Requests images for a text prompt and returns a task at once. Subscribe to `taskUpdated` to follow the task. An acknowledged task always reaches a final status, and a request that the upstream may have accepted is never sent again. Requires the scope `tasks:write`. */
  generateImages: GenerateImagesPayload;
  /** Posts the results of a task to its `webhookUrl` again at once, with up to eight new attempts. It works for results that are pending, delivered or abandoned, until they are deleted (`CALLBACK_RETENTION_DAYS` after their last attempt). The `webhook-id` stays the same. Requires the scope `tasks:write`. */
  redeliverWebhook: RedeliverWebhookPayload;
  /** Processes a stored callback again, as if it had just been received. Nothing changes if the result was already applied. Requires the scopes `audit:read` and `tasks:write`. */
  replayCallback: ReplayCallbackPayload;
  /** Creates a new task with the input of a final one. `Task.retryOf` of the new task links the two. The upstream may bill both tasks, so Darkroom never does this on its own. Requires the scope `tasks:write`. */
  retryTask: RetryTaskPayload;
  /** Revokes an API key. Within 5 seconds, every instance rejects the key and its client tokens, and closes their streams. Revoking a revoked key changes nothing. Requires the scope `keys:admin`. */
  revokeApiKey: RevokeApiKeyPayload;
  /** Creates an API key with the name, scopes, limits and expiry of an existing one, but with its own ID. The existing key stays valid for the grace period. Requires the scope `keys:admin` and every scope of the key. */
  rotateApiKey: RotateApiKeyPayload;
  /** Replaces the secret that signs webhooks. During the grace period, webhooks carry a signature with each of the two secrets, so that endpoints can switch to the new one. Requires the scope `keys:admin`. */
  rotateWebhookSecret: RotateWebhookSecretPayload;
  /** Sets, changes or removes a monthly spending limit. What the current month has cost so far counts toward it. Requires the scope `workspaces:admin` for WORKSPACE and `keys:admin` for the others. */
  setBudget: SetBudgetPayload;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationCancelTaskArgs = {
  input: CancelTaskInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationCreateApiKeyArgs = {
  input: CreateApiKeyInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationCreateClientTokenArgs = {
  input: CreateClientTokenInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationCreateUploadArgs = {
  input: CreateUploadInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationCreateWorkspaceArgs = {
  input: CreateWorkspaceInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationDeleteImageArgs = {
  input: DeleteImageInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationEditImageArgs = {
  input: EditImageInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationGenerateImagesArgs = {
  input: GenerateImagesInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationRedeliverWebhookArgs = {
  input: RedeliverWebhookInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationReplayCallbackArgs = {
  input: ReplayCallbackInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationRetryTaskArgs = {
  input: RetryTaskInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationRevokeApiKeyArgs = {
  input: RevokeApiKeyInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationRotateApiKeyArgs = {
  input: RotateApiKeyInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationRotateWebhookSecretArgs = {
  input: RotateWebhookSecretInput;
};


/** Write operations. Each takes one `input`. Problems that the caller can fix are returned as `userErrors`. Other failures are GraphQL errors with a code from docs/ERRORS.md. */
export type MutationSetBudgetArgs = {
  input: SetBudgetInput;
};

/** Position of a page in its list, as in the Relay specification. */
export type PageInfo = {
  __typename?: 'PageInfo';
  /** Cursor of the last item. Pass it as `after` to get the next page. Null on an empty page. */
  endCursor?: Maybe<Scalars['String']['output']>;
  /** Event log cursor to pass as `after` to a subscription. The subscription then delivers every event that this page does not reflect. Set by the queries `tasks` and `taskEvents`, even on an empty page. Null in other lists. */
  eventCursor?: Maybe<Scalars['String']['output']>;
  /** Whether more items follow this page. */
  hasNextPage: Scalars['Boolean']['output'];
  /** Whether `after` was given, so that items may precede this page. */
  hasPreviousPage: Scalars['Boolean']['output'];
  /** Cursor of the first item. Null on an empty page. */
  startCursor?: Maybe<Scalars['String']['output']>;
};

/** Sizes in pixels that a model accepts. */
export type PixelSizeConstraints = {
  __typename?: 'PixelSizeConstraints';
  /** Maximum width and height in pixels. */
  maxSide: Scalars['Int']['output'];
  /** Minimum width and height in pixels. */
  minSide: Scalars['Int']['output'];
  /** Number that width and height must be multiples of. */
  multipleOf: Scalars['Int']['output'];
};

/** Read operations, limited to the caller's workspace. An ID of another workspace behaves like one that does not exist. */
export type Query = {
  __typename?: 'Query';
  /** API keys of the workspace, newest first, including expired and revoked ones. Requires the scope `keys:admin`. */
  apiKeys: ApiKeyConnection;
  /** Audit log of the workspace, newest first. Requires the scope `audit:read`. */
  auditLog: AuditEntryConnection;
  /** Budgets of the workspace and how much of them is used in a month: those of end users, then of API keys, then of the workspace. Requires the scope `audit:read`. */
  budgets: BudgetConnection;
  /** Stored upstream callbacks for tasks of the workspace, newest first. Requires the scope `audit:read`. */
  callbacks: CallbackConnection;
  /** One image. Null if no image has this ID. Requires the scope `tasks:read`. */
  image?: Maybe<Image>;
  /** All models with the input they accept. Requires the scope `tasks:read`. */
  models: Array<FluxModel>;
  /** State of the caller's request limit. Null if it has none. Requires no scope. */
  rateLimit?: Maybe<RateLimit>;
  /** One task. Null if no task has this ID. Requires the scope `tasks:read`. */
  task?: Maybe<Task>;
  /** Events of the workspace, oldest first and without an age limit. The subscription uses the same cursors. To miss nothing, read to the last page, then subscribe after its `pageInfo.eventCursor`. Requires the scope `tasks:read`. */
  taskEvents: TaskEventConnection;
  /** Tasks of the workspace, newest first. Requires the scope `tasks:read`. */
  tasks: TaskConnection;
  /** Totals of the tasks requested in a period. `/usage.csv` returns the same as a CSV file. A report that takes longer than 30 s ends with the error `REPORT_TIMED_OUT`, and a shorter period avoids that. Requires the scope `audit:read`. */
  usage: UsageGroupConnection;
  /** The caller's workspace, API key and scopes. Requires no scope. */
  viewer: Viewer;
  /** Secret that signs the workspace's webhooks. Requires the scope `keys:admin`. */
  webhookSecret: WebhookSecret;
};


/** Read operations, limited to the caller's workspace. An ID of another workspace behaves like one that does not exist. */
export type QueryApiKeysArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
};


/** Read operations, limited to the caller's workspace. An ID of another workspace behaves like one that does not exist. */
export type QueryAuditLogArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<AuditFilter>;
  first?: Scalars['Int']['input'];
};


/** Read operations, limited to the caller's workspace. An ID of another workspace behaves like one that does not exist. */
export type QueryBudgetsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
  month?: InputMaybe<Scalars['String']['input']>;
};


/** Read operations, limited to the caller's workspace. An ID of another workspace behaves like one that does not exist. */
export type QueryCallbacksArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<CallbackFilter>;
  first?: Scalars['Int']['input'];
};


/** Read operations, limited to the caller's workspace. An ID of another workspace behaves like one that does not exist. */
export type QueryImageArgs = {
  id: Scalars['ID']['input'];
};


/** Read operations, limited to the caller's workspace. An ID of another workspace behaves like one that does not exist. */
export type QueryTaskArgs = {
  id: Scalars['ID']['input'];
};


/** Read operations, limited to the caller's workspace. An ID of another workspace behaves like one that does not exist. */
export type QueryTaskEventsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<TaskEventFilter>;
  first?: Scalars['Int']['input'];
};


/** Read operations, limited to the caller's workspace. An ID of another workspace behaves like one that does not exist. */
export type QueryTasksArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<TaskFilter>;
  first?: Scalars['Int']['input'];
};


/** Read operations, limited to the caller's workspace. An ID of another workspace behaves like one that does not exist. */
export type QueryUsageArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
  from: Scalars['DateTime']['input'];
  groupBy: UsageGrouping;
  to: Scalars['DateTime']['input'];
};

/** State of the request limit with the fewest requests left, among those of the API key, client token, end user and workspace. All instances share the limit, so `remaining` is accurate to a few percent. */
export type RateLimit = {
  __typename?: 'RateLimit';
  /** Number of requests that this HTTP request or WebSocket operation counted as. Each operation counts as one. */
  cost: Scalars['Int']['output'];
  /** Requests allowed per minute. */
  limit: Scalars['Int']['output'];
  /** Requests left until `resetAt`. */
  remaining: Scalars['Int']['output'];
  /** Time when the full limit is available again. */
  resetAt: Scalars['DateTime']['output'];
};

/** Input for posting the results of a task again. */
export type RedeliverWebhookInput = {
  /** ID of the task. */
  taskId: Scalars['ID']['input'];
};

/** Output of `redeliverWebhook`. */
export type RedeliverWebhookPayload = {
  __typename?: 'RedeliverWebhookPayload';
  /** The task. Null if there are `userErrors`. */
  task?: Maybe<Task>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** Input for replaying a callback. */
export type ReplayCallbackInput = {
  /** ID of the callback. */
  id: Scalars['ID']['input'];
};

/** Output of `replayCallback`. */
export type ReplayCallbackPayload = {
  __typename?: 'ReplayCallbackPayload';
  /** The callback with its new verdict. Null if there are `userErrors`. */
  callback?: Maybe<Callback>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** Input for repeating a task. The upstream may bill the new task as well. */
export type RetryTaskInput = {
  /** ID of the task to repeat. It must be final. */
  id: Scalars['ID']['input'];
  /** Key that makes it safe to send the request again, 1 to 255 characters. A repeated key for the same task returns the existing retry. Default: the header `Idempotency-Key`. */
  idempotencyKey?: InputMaybe<Scalars['String']['input']>;
};

/** Output of `retryTask`. */
export type RetryTaskPayload = {
  __typename?: 'RetryTaskPayload';
  /** The new task. Null if there are `userErrors`. */
  task?: Maybe<Task>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** Input for revoking an API key. */
export type RevokeApiKeyInput = {
  /** ID of the API key. */
  id: Scalars['ID']['input'];
};

/** Output of `revokeApiKey`. */
export type RevokeApiKeyPayload = {
  __typename?: 'RevokeApiKeyPayload';
  /** The revoked API key. Null if there are `userErrors`. */
  apiKey?: Maybe<ApiKey>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** Input for replacing an API key. */
export type RotateApiKeyInput = {
  /** Seconds for which the old key stays valid, from 0 to 604800 (a week). Default: 3600 (an hour). */
  gracePeriodSeconds?: InputMaybe<Scalars['Int']['input']>;
  /** ID of the API key to replace. */
  id: Scalars['ID']['input'];
};

/** Output of `rotateApiKey`. */
export type RotateApiKeyPayload = {
  __typename?: 'RotateApiKeyPayload';
  /** The new API key. Null if there are `userErrors`. */
  apiKey?: Maybe<ApiKey>;
  /** The new API key itself. It is shown only here. Null if there are `userErrors`. */
  secret?: Maybe<Scalars['String']['output']>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** Input for replacing the webhook secret. */
export type RotateWebhookSecretInput = {
  /** Seconds for which webhooks are also signed with the previous secret, from 0 to 604800 (a week). Default: 86400 (a day). */
  gracePeriodSeconds?: InputMaybe<Scalars['Int']['input']>;
};

/** Output of `rotateWebhookSecret`. */
export type RotateWebhookSecretPayload = {
  __typename?: 'RotateWebhookSecretPayload';
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
  /** The new secret. Null if there are `userErrors`. */
  webhookSecret?: Maybe<WebhookSecret>;
};

/** Input for setting, changing or removing a budget. */
export type SetBudgetInput = {
  /** Maximum spending per month: a non-negative decimal number as a string, such as "12.50", with up to 12 digits before and 8 after the point. Null or omitted removes the budget. */
  amount?: InputMaybe<Scalars['String']['input']>;
  /** ISO 4217 code of a currency in the price list, such as USD. It can be omitted if the price list has only one currency. */
  currency?: InputMaybe<Scalars['String']['input']>;
  /** Scope of the budget. */
  scope: BudgetScope;
  /** ID of an API key of the workspace, or the workspace's own ID of an end user, 1 to 255 characters. Required for API_KEY and END_USER. For WORKSPACE, omit it or pass the ID of the caller's workspace. */
  scopeId?: InputMaybe<Scalars['ID']['input']>;
};

/** Output of `setBudget`. */
export type SetBudgetPayload = {
  __typename?: 'SetBudgetPayload';
  /** The budget with its amounts in the current month. Null if it was removed or there are `userErrors`. */
  budget?: Maybe<Budget>;
  /** The problems with the input. Empty on success. */
  userErrors: Array<UserError>;
};

/** Event streams, over WebSocket (`/graphql`) or server-sent events (`/graphql/stream`). See docs/PROTOCOL.md, "Subscriptions". */
export type Subscription = {
  __typename?: 'Subscription';
  /** Events of the workspace, each exactly once and in order. Without `after`, the stream starts with the next event. The stream does not complete. To resume after a disconnect, pass the cursor of the last event you handled. Requires the scope `tasks:read`. */
  taskEvents: TaskEvent;
  /** Events of one task, each exactly once and in order. The stream completes when the task is final and each of its images is stored or lost. Without `after`, the stream starts with the latest event of the task, so that you learn its current state. Requires the scope `tasks:read`. */
  taskUpdated: TaskEvent;
};


/** Event streams, over WebSocket (`/graphql`) or server-sent events (`/graphql/stream`). See docs/PROTOCOL.md, "Subscriptions". */
export type SubscriptionTaskEventsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<TaskEventFilter>;
};


/** Event streams, over WebSocket (`/graphql`) or server-sent events (`/graphql/stream`). See docs/PROTOCOL.md, "Subscriptions". */
export type SubscriptionTaskUpdatedArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  id: Scalars['ID']['input'];
};

/** A request for images, its state and its result. */
export type Task = {
  __typename?: 'Task';
  /** Estimated and final cost. */
  cost: TaskCost;
  /** Time when the request was acknowledged. */
  createdAt: Scalars['DateTime']['output'];
  /** Time when the task expires if it is not final by then. */
  deadlineAt: Scalars['DateTime']['output'];
  /** Number of images in the upstream's result, without late images. It can be lower than `requestedCount`. */
  deliveredCount: Scalars['Int']['output'];
  /** The workspace's own ID of the end user that the task is for. Null if it is for none. */
  endUserId?: Maybe<Scalars['String']['output']>;
  /** Reason why the task has no images. Null unless it failed or expired. */
  error?: Maybe<TaskError>;
  /** Event log cursor from just before the task was read. Pass it as `after` to a subscription to miss no event. The subscription can deliver events that this result already reflects. */
  eventCursor: Scalars['String']['output'];
  /** Events of the task, oldest first. */
  events: TaskEventConnection;
  /** Time when the task became final. Null until then. */
  finishedAt?: Maybe<Scalars['DateTime']['output']>;
  /** ID of the task, a UUIDv7. Later tasks sort after earlier ones. */
  id: Scalars['ID']['output'];
  /** Idempotency key of the request. Null if it had none. */
  idempotencyKey?: Maybe<Scalars['String']['output']>;
  /** Images in the order of the upstream's result. Late images are in `lateImages` instead. */
  images: Array<Image>;
  /** Whether the task generates or edits images. */
  kind: TaskKind;
  /** Images that arrived after the task was final. A task that succeeded with some of its images can get the rest here. */
  lateImages: Array<Image>;
  /** `metadata` of the request, unchanged. Null if the request had none. */
  metadata?: Maybe<Scalars['JSON']['output']>;
  /** Name of the model. See `models`. */
  model: Scalars['String']['output'];
  /** Priority among the queued tasks of the same end user. */
  priority: TaskPriority;
  /** Prompt of the request, unchanged. */
  prompt: Scalars['String']['output'];
  /** 1-based position in the queue, assuming no new tasks arrive. The value 1000 means position 1,000 or later. Workspaces alternate, and so do the end users of a workspace. The tasks of an end user are ordered by priority, then by age. See docs/PROTOCOL.md, "Fair scheduling". Null unless the status is QUEUED. */
  queuePosition?: Maybe<Scalars['Int']['output']>;
  /** Number of images requested. */
  requestedCount: Scalars['Int']['output'];
  /** Task that this one repeats. Null if it repeats none. */
  retryOf?: Maybe<Task>;
  /** Size in pixels such as "1024x768", or an aspect ratio such as "16:9", depending on the model. Null for an edit that keeps the aspect ratio of its source. */
  size?: Maybe<Scalars['String']['output']>;
  /** Source image of an edit. Null if the task is not an edit, or if Darkroom does not store the image. */
  sourceImage?: Maybe<Image>;
  /** URL of the source image of an edit. Null if the task is not an edit, or if the source is an image in Darkroom. */
  sourceImageUrl?: Maybe<Scalars['URL']['output']>;
  /** Current state of the task. */
  status: TaskStatus;
  /** Time when the upstream accepted the task. Null if it has not been accepted. */
  submittedAt?: Maybe<Scalars['DateTime']['output']>;
  /** ID of the task at the upstream. Null until it is known. */
  upstreamTaskId?: Maybe<Scalars['String']['output']>;
  /** Trace ID to quote to the upstream's support. Null until it is known. */
  upstreamTraceId?: Maybe<Scalars['String']['output']>;
  /** Deliveries of results to `webhookUrl`, newest first. Empty if the task has no `webhookUrl` or no result yet. Delivered and abandoned deliveries are deleted `CALLBACK_RETENTION_DAYS` after their last attempt. */
  webhookDeliveries: WebhookDeliveryConnection;
  /** URL to which the result is posted. Null if the request had none. */
  webhookUrl?: Maybe<Scalars['URL']['output']>;
};


/** A request for images, its state and its result. */
export type TaskEventsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
};


/** A request for images, its state and its result. */
export type TaskWebhookDeliveriesArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
};

/** A page of tasks, newest first. */
export type TaskConnection = {
  __typename?: 'TaskConnection';
  /** The items with their cursors. */
  edges: Array<TaskEdge>;
  /** The items. */
  nodes: Array<Task>;
  /** Position of the page in the list. */
  pageInfo: PageInfo;
};

/** Cost of a task according to the configured price list. Amounts are decimal numbers as strings, such as "0.08". */
export type TaskCost = {
  __typename?: 'TaskCost';
  /** ISO 4217 currency code, such as USD. Null if the price was unknown. */
  currency?: Maybe<Scalars['String']['output']>;
  /** Highest expected cost: the price of an image at the time of the request, times `requestedCount`. Null if the price was unknown. */
  estimated?: Maybe<Scalars['String']['output']>;
  /** Cost of the delivered images, including late ones. Null until the task is final, or if the price was unknown. Also null if the task was canceled or expired after it was sent, until a late result arrives. The upstream may have billed such a task. */
  final?: Maybe<Scalars['String']['output']>;
};

/** A list item with its cursor. */
export type TaskEdge = {
  __typename?: 'TaskEdge';
  /** Opaque cursor of this item. Pass it as `after` to get the items that follow. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: Task;
};

/** Reason why a task has no images. */
export type TaskError = {
  __typename?: 'TaskError';
  /** Stable code in SCREAMING_SNAKE_CASE, listed in docs/ERRORS.md. */
  code: Scalars['String']['output'];
  /** Human-readable sentence: what happened and what to do next. */
  message: Scalars['String']['output'];
  /** Whether the same request may succeed later. Never true while the upstream may bill this task, because a new request would then be paid for twice. */
  retryable: Scalars['Boolean']['output'];
  /** Error code of the upstream. Null if it reported none. */
  upstreamCode?: Maybe<Scalars['String']['output']>;
  /** Trace ID to quote to the upstream's support. Null if the upstream reported none. */
  upstreamTraceId?: Maybe<Scalars['String']['output']>;
};

/** A change to a task or its images. Events are immutable. They form the history of the task, and subscriptions deliver them. */
export type TaskEvent = {
  __typename?: 'TaskEvent';
  /** Name of the API key that caused the event, or the part of Darkroom that did: "submitter", "upstream callback", "reconciler", "deadline", "image store", "retention", "webhook delivery". */
  actor: Scalars['String']['output'];
  /** Time when the event was recorded. */
  at: Scalars['DateTime']['output'];
  /** Opaque event log cursor of this event, for `after`. */
  cursor: Scalars['String']['output'];
  /** Details of the event. docs/PROTOCOL.md describes them for each type. */
  data: Scalars['JSON']['output'];
  /** ID of the event, a UUID. */
  id: Scalars['ID']['output'];
  /** The task in its current state, not as of the event. */
  task: Task;
  /** Kind of the event. */
  type: TaskEventType;
};

/** A page of events, oldest first. */
export type TaskEventConnection = {
  __typename?: 'TaskEventConnection';
  /** The items with their cursors. */
  edges: Array<TaskEventEdge>;
  /** The items. */
  nodes: Array<TaskEvent>;
  /** Position of the page in the list. */
  pageInfo: PageInfo;
};

/** A list item with its cursor. */
export type TaskEventEdge = {
  __typename?: 'TaskEventEdge';
  /** Opaque cursor of this item. Pass it as `after` to get the items that follow. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: TaskEvent;
};

/** Conditions on events. An event must meet all of them. */
export type TaskEventFilter = {
  /** Events of the tasks with these IDs, at most 100 in a subscription. Empty or omitted: all tasks. */
  taskIds?: InputMaybe<Array<Scalars['ID']['input']>>;
  /** Events of one of these types. Empty or omitted: any. */
  types?: InputMaybe<Array<TaskEventType>>;
};

/** Kind of an event. docs/PROTOCOL.md describes the `data` of each. */
export type TaskEventType =
  /** An image was deleted. Its URLs return 410. */
  | 'IMAGE_DELETED'
  /** An image could not be downloaded from the upstream's URL, or it could not be stored for 7 days. No further attempt is made. `data` holds the URL, and the time until which it works if it says so. */
  | 'IMAGE_LOST'
  /** Darkroom's copy of an image is complete. `data` holds its width, height, type, size in bytes and placeholder, or why its bytes cannot be decoded. */
  | 'IMAGE_STORED'
  /** Images arrived after the task was final. They are kept as late images. */
  | 'LATE_RESULT_RECEIVED'
  /** An attempt to submit created nothing. The next attempt is made at `data.retryAt` at the earliest, if the deadline has not passed by then. */
  | 'SUBMIT_REJECTED'
  /** An attempt to submit may or may not have reached the upstream. It is not repeated, unless it turns out to have made nothing. */
  | 'SUBMIT_UNCONFIRMED'
  /** The caller canceled the task. */
  | 'TASK_CANCELED'
  /** The task was not finished by its deadline. */
  | 'TASK_EXPIRED'
  /** The task finished without an image. */
  | 'TASK_FAILED'
  /** The request was acknowledged. */
  | 'TASK_REQUESTED'
  /** The upstream accepted the task. */
  | 'TASK_SUBMITTED'
  /** The result arrived. IMAGE_STORED or IMAGE_LOST follows for each image. */
  | 'TASK_SUCCEEDED'
  /** The result is no longer posted to the webhook endpoint: the last attempt failed, or the endpoint responded with 410. `redeliverWebhook` starts over. */
  | 'WEBHOOK_ABANDONED'
  /** The webhook endpoint accepted the result. */
  | 'WEBHOOK_DELIVERED';

/** Conditions on tasks. A task must meet all of them. */
export type TaskFilter = {
  /** Tasks created at or after this time. */
  createdAfter?: InputMaybe<Scalars['DateTime']['input']>;
  /** Tasks created before this time. */
  createdBefore?: InputMaybe<Scalars['DateTime']['input']>;
  /** Tasks of one of these kinds. Empty or omitted: any. */
  kinds?: InputMaybe<Array<TaskKind>>;
  /** Tasks with one of these models, by name. Empty or omitted: any. */
  models?: InputMaybe<Array<Scalars['String']['input']>>;
  /** Words that the prompt must contain, in any language. Case, width and accents do not matter, and a word also finds longer words that begin with it. "Quoted phrases", `or` and `-excluded` work as in a web search, with whole words. At most 500 characters. */
  search?: InputMaybe<Scalars['String']['input']>;
  /** Tasks with one of these statuses. Empty or omitted: any. */
  statuses?: InputMaybe<Array<TaskStatus>>;
};

/** Operation that a task performs. */
export type TaskKind =
  /** Edits an existing image as the prompt describes. */
  | 'EDIT'
  /** Generates images from a text prompt. */
  | 'GENERATE';

/** Priority among the queued tasks of one end user. It does not affect other end users or workspaces. */
export type TaskPriority =
  /** Before tasks with NORMAL and LOW priority. */
  | 'HIGH'
  /** After tasks with NORMAL and HIGH priority. */
  | 'LOW'
  /** The default. Tasks of equal priority are sent oldest first. */
  | 'NORMAL';

/** State of a task. SUCCEEDED, FAILED, CANCELED and EXPIRED are final: a task never leaves them. */
export type TaskStatus =
  /** Canceled by the caller. */
  | 'CANCELED'
  /** Not finished by its deadline. `error` says what is known. */
  | 'EXPIRED'
  /** Finished without an image. `error` says why. */
  | 'FAILED'
  /** Waiting to be sent to the upstream. A task returns to this status if an attempt certainly created nothing and will be repeated. */
  | 'QUEUED'
  /** Accepted by the upstream, which is working on it. */
  | 'RUNNING'
  /** Being sent to the upstream. */
  | 'SUBMITTING'
  /** Finished with at least one image, possibly fewer than requested. See `deliveredCount`. */
  | 'SUCCEEDED'
  /** The request may or may not have reached the upstream. It is not sent again, so that nothing is paid for twice, unless the upstream turns out to have made nothing. A result that arrives still completes the task. */
  | 'UNCONFIRMED';

/** A signed link for uploading one image without an API key. Send the bytes with PUT, or one file as `multipart/form-data` with POST. Using the link again returns the same image. The response is `{"image": {"id", "url", "width", "height", "mimeType", "byteSize"}}`. */
export type Upload = {
  __typename?: 'Upload';
  /** Time when the link expires, 15 minutes after its creation. */
  expiresAt: Scalars['DateTime']['output'];
  /** ID that the image has once it is uploaded. Pass it as `sourceImageId` to `editImage`. */
  imageId: Scalars['ID']['output'];
  /** Maximum size of the image in bytes, as the operator has set it. Default: 52428800 (50 MB). */
  maxBytes: Scalars['Int']['output'];
  /** URL to send the image to. Anyone who has it can use it. */
  url: Scalars['URL']['output'];
};

/** Totals of a group of tasks. Each group has one currency, and tasks without a known price form a group of their own. Amounts are decimal numbers as strings. */
export type UsageGroup = {
  __typename?: 'UsageGroup';
  /** Cost of the delivered images, including late ones. Null if the price was unknown. */
  cost?: Maybe<Scalars['String']['output']>;
  /** ISO 4217 currency code. Null if the price was unknown at the time of the request. */
  currency?: Maybe<Scalars['String']['output']>;
  /** Value of the attribute that usage is grouped by: the day as YYYY-MM-DD in UTC, the model, or the ID of the API key or end user. Null for tasks without an API key or end user. */
  groupKey?: Maybe<Scalars['String']['output']>;
  /** Number of images delivered, including late ones. */
  imageCount: Scalars['Int']['output'];
  /** Name of the API key. Null if usage is grouped by another attribute. */
  keyName?: Maybe<Scalars['String']['output']>;
  /** Maximum total cost of the tasks that are not final yet. Null if the price was unknown. */
  reserved?: Maybe<Scalars['String']['output']>;
  /** Number of tasks requested, whatever their status. */
  taskCount: Scalars['Int']['output'];
  /** Cost that the upstream may have charged for tasks that were canceled or expired after they were sent. Null if the price was unknown. */
  uncertain?: Maybe<Scalars['String']['output']>;
};

/** A page of usage groups, by group key, then by currency. */
export type UsageGroupConnection = {
  __typename?: 'UsageGroupConnection';
  /** The items with their cursors. */
  edges: Array<UsageGroupEdge>;
  /** The items. */
  nodes: Array<UsageGroup>;
  /** Position of the page in the list. */
  pageInfo: PageInfo;
};

/** A list item with its cursor. */
export type UsageGroupEdge = {
  __typename?: 'UsageGroupEdge';
  /** Opaque cursor of this item. Pass it as `after` to get the items that follow. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: UsageGroup;
};

/** Attribute that usage is grouped by. */
export type UsageGrouping =
  /** API key that the request was made with. */
  | 'API_KEY'
  /** Day of the request, in UTC. */
  | 'DAY'
  /** End user that the request was for. */
  | 'END_USER'
  /** Model of the task. */
  | 'MODEL';

/** A problem with the input of a mutation that the caller can fix. The mutation changed nothing. */
export type UserError = {
  __typename?: 'UserError';
  /** Stable code in SCREAMING_SNAKE_CASE, listed in docs/ERRORS.md. */
  code: Scalars['String']['output'];
  /** Path of the offending argument, such as ["input", "size"]. Null if the problem is not in one argument. */
  field?: Maybe<Array<Scalars['String']['output']>>;
  /** Human-readable sentence: what is wrong and how to fix it. */
  message: Scalars['String']['output'];
};

/** The caller: an API key, a client token, or a token of the configured identity provider. */
export type Viewer = {
  __typename?: 'Viewer';
  /** End user whose tasks and images the caller is limited to. Null if the caller is not limited to an end user. */
  endUserId?: Maybe<Scalars['String']['output']>;
  /** Time when the API key or token expires. Null if it does not expire. */
  expiresAt?: Maybe<Scalars['DateTime']['output']>;
  /** ID of the API key. A client token has the ID of the API key that created it. A token of the identity provider has an ID that stands for the provider. */
  keyId: Scalars['ID']['output'];
  /** Name of the API key, as in the `actor` of events and audit entries. "identity provider" for a token of the identity provider. */
  keyName: Scalars['String']['output'];
  /** First 9 characters of the API key. They help you tell keys apart and are not secret. Empty for a token of the identity provider. */
  keyPrefix: Scalars['String']['output'];
  /** Scopes of the caller, such as "tasks:write". */
  scopes: Array<Scalars['String']['output']>;
  /** IDs of the tasks that the caller is limited to. Null if the caller is not limited to certain tasks. */
  taskIds?: Maybe<Array<Scalars['ID']['output']>>;
  /** ID of the workspace that owns everything the caller sees and creates. */
  workspaceId: Scalars['ID']['output'];
  /** Name of the workspace. */
  workspaceName: Scalars['String']['output'];
};

/** One HTTP POST of a webhook delivery. Unless the delivery is pending, the attempt is deleted after the retention period that the operator has set, by default 30 days. */
export type WebhookAttempt = {
  __typename?: 'WebhookAttempt';
  /** Time when the attempt was made. */
  at: Scalars['DateTime']['output'];
  /** 1-based number of the attempt in its delivery, including those before a redelivery. */
  attemptNumber: Scalars['Int']['output'];
  /** Reason why the attempt failed. Null if it succeeded. */
  errorMessage?: Maybe<Scalars['String']['output']>;
  /** ID of the attempt, a UUIDv7. */
  id: Scalars['ID']['output'];
  /** Milliseconds until the response or the failure. The timeout is 15 seconds. */
  latencyMs: Scalars['Int']['output'];
  /** Time for which the next attempt was scheduled after this one. Null if this attempt succeeded, if it was the last one, or if another attempt had begun in the meantime. */
  nextAttemptAt?: Maybe<Scalars['DateTime']['output']>;
  /** First 1,024 bytes of the response body, as text. Null if there was no response. */
  responseBody?: Maybe<Scalars['String']['output']>;
  /** HTTP status of the response. 200 to 299 means delivered. Null if the endpoint sent no response. A response whose body breaks off still counts. */
  statusCode?: Maybe<Scalars['Int']['output']>;
};

/** A page of webhook attempts, newest first. */
export type WebhookAttemptConnection = {
  __typename?: 'WebhookAttemptConnection';
  /** The items with their cursors. */
  edges: Array<WebhookAttemptEdge>;
  /** The items. */
  nodes: Array<WebhookAttempt>;
  /** Position of the page in the list. */
  pageInfo: PageInfo;
};

/** A list item with its cursor. */
export type WebhookAttemptEdge = {
  __typename?: 'WebhookAttemptEdge';
  /** Opaque cursor of this item. Pass it as `after` to get the items that follow. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: WebhookAttempt;
};

/** A result that is posted to the task's `webhookUrl`. Attempts continue until the endpoint accepts the result or responds with 410, or until the eighth attempt fails, usually more than a day after the first. */
export type WebhookDelivery = {
  __typename?: 'WebhookDelivery';
  /** Number of attempts that have begun, including those before a redelivery. */
  attemptCount: Scalars['Int']['output'];
  /** Attempts to deliver the result, newest first. */
  attempts: WebhookAttemptConnection;
  /** Time when the result became ready to post. */
  createdAt: Scalars['DateTime']['output'];
  /** ID of the delivery. Every attempt sends it in the header `webhook-id`, also after a redelivery. */
  id: Scalars['ID']['output'];
  /** Which result is posted. */
  kind: WebhookDeliveryKind;
  /** Time when the next attempt is due. During an attempt, the time when that attempt is considered lost and is repeated. Null unless the status is PENDING. */
  nextAttemptAt?: Maybe<Scalars['DateTime']['output']>;
  /** State of the delivery. */
  status: WebhookDeliveryStatus;
};


/** A result that is posted to the task's `webhookUrl`. Attempts continue until the endpoint accepts the result or responds with 410, or until the eighth attempt fails, usually more than a day after the first. */
export type WebhookDeliveryAttemptsArgs = {
  after?: InputMaybe<Scalars['String']['input']>;
  first?: Scalars['Int']['input'];
};

/** A page of webhook deliveries, newest first. */
export type WebhookDeliveryConnection = {
  __typename?: 'WebhookDeliveryConnection';
  /** The items with their cursors. */
  edges: Array<WebhookDeliveryEdge>;
  /** The items. */
  nodes: Array<WebhookDelivery>;
  /** Position of the page in the list. */
  pageInfo: PageInfo;
};

/** A list item with its cursor. */
export type WebhookDeliveryEdge = {
  __typename?: 'WebhookDeliveryEdge';
  /** Opaque cursor of this item. Pass it as `after` to get the items that follow. */
  cursor: Scalars['String']['output'];
  /** The item. */
  node: WebhookDelivery;
};

/** Which result a webhook delivery posts. */
export type WebhookDeliveryKind =
  /** Images that arrived after the task was final. */
  | 'LATE_RESULT'
  /** The final state of the task, with its images or its error. */
  | 'RESULT';

/** State of a webhook delivery. */
export type WebhookDeliveryStatus =
  /** The last attempt failed, or the endpoint responded with 410. `redeliverWebhook` starts over. */
  | 'ABANDONED'
  /** The endpoint responded with a status from 200 to 299. */
  | 'DELIVERED'
  /** An attempt is due at `nextAttemptAt`, or in progress. */
  | 'PENDING';

/** Secret that signs the workspace's webhooks, as defined by Standard Webhooks (https://www.standardwebhooks.com). */
export type WebhookSecret = {
  __typename?: 'WebhookSecret';
  /** Time until which webhooks are also signed with the previous secret. Null if they are signed with one secret only. */
  previousSecretExpiresAt?: Maybe<Scalars['DateTime']['output']>;
  /** `whsec_` followed by 32 bytes in base64. Webhook endpoints verify signatures with it. */
  secret: Scalars['String']['output'];
};

/** A tenant that owns API keys, tasks and images. No workspace can see the data of another. */
export type Workspace = {
  __typename?: 'Workspace';
  /** Time when the workspace was created. */
  createdAt: Scalars['DateTime']['output'];
  /** ID of the workspace. */
  id: Scalars['ID']['output'];
  /** Display name. It need not be unique. */
  name: Scalars['String']['output'];
};

export type ImageFieldsFragment = { __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null };

export type TaskFieldsFragment = { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, eventCursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } };

export type ViewerQueryVariables = Exact<{ [key: string]: never; }>;


export type ViewerQuery = { __typename?: 'Query', viewer: { __typename?: 'Viewer', workspaceId: string, workspaceName: string, keyId: string, keyName: string, keyPrefix: string, scopes: Array<string> } };

export type ModelsQueryVariables = Exact<{ [key: string]: never; }>;


export type ModelsQuery = { __typename?: 'Query', models: Array<{ __typename?: 'FluxModel', name: string, canGenerate: boolean, canEdit: boolean, isDeprecated: boolean, aspectRatios: Array<string>, maxCount: number, defaultSize: string, pixelSizes?: { __typename?: 'PixelSizeConstraints', minSide: number, maxSide: number, multipleOf: number } | null }> };

export type TaskByIdQueryVariables = Exact<{
  id: Scalars['ID']['input'];
}>;


export type TaskByIdQuery = { __typename?: 'Query', task?: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, eventCursor: string, lateImages: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } | null };

export type TaskWebhookDeliveriesQueryVariables = Exact<{
  id: Scalars['ID']['input'];
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
  firstAttempts?: InputMaybe<Scalars['Int']['input']>;
  afterAttempt?: InputMaybe<Scalars['String']['input']>;
}>;


export type TaskWebhookDeliveriesQuery = { __typename?: 'Query', task?: { __typename?: 'Task', id: string, webhookUrl?: string | null, webhookDeliveries: { __typename?: 'WebhookDeliveryConnection', nodes: Array<{ __typename?: 'WebhookDelivery', id: string, kind: WebhookDeliveryKind, status: WebhookDeliveryStatus, createdAt: string, nextAttemptAt?: string | null, attemptCount: number, attempts: { __typename?: 'WebhookAttemptConnection', nodes: Array<{ __typename?: 'WebhookAttempt', id: string, attemptNumber: number, at: string, statusCode?: number | null, errorMessage?: string | null, latencyMs: number, responseBody?: string | null, nextAttemptAt?: string | null }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null } } }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null } } } | null };

export type RedeliverWebhookMutationVariables = Exact<{
  input: RedeliverWebhookInput;
}>;


export type RedeliverWebhookMutation = { __typename?: 'Mutation', redeliverWebhook: { __typename?: 'RedeliverWebhookPayload', task?: { __typename?: 'Task', id: string } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type WebhookSecretQueryVariables = Exact<{ [key: string]: never; }>;


export type WebhookSecretQuery = { __typename?: 'Query', webhookSecret: { __typename?: 'WebhookSecret', secret: string, previousSecretExpiresAt?: string | null } };

export type RotateWebhookSecretMutationVariables = Exact<{
  input: RotateWebhookSecretInput;
}>;


export type RotateWebhookSecretMutation = { __typename?: 'Mutation', rotateWebhookSecret: { __typename?: 'RotateWebhookSecretPayload', webhookSecret?: { __typename?: 'WebhookSecret', secret: string, previousSecretExpiresAt?: string | null } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

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


export type TasksQuery = { __typename?: 'Query', tasks: { __typename?: 'TaskConnection', edges: Array<{ __typename?: 'TaskEdge', cursor: string, node: { __typename?: 'Task', id: string } }>, nodes: Array<{ __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, eventCursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, hasPreviousPage: boolean, startCursor?: string | null, endCursor?: string | null, eventCursor?: string | null } } };

export type ImageByIdQueryVariables = Exact<{
  id: Scalars['ID']['input'];
}>;


export type ImageByIdQuery = { __typename?: 'Query', image?: { __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null, task?: { __typename?: 'Task', id: string } | null, parent?: { __typename?: 'Image', id: string } | null } | null };

export type GenerateImagesMutationVariables = Exact<{
  input: GenerateImagesInput;
}>;


export type GenerateImagesMutation = { __typename?: 'Mutation', generateImages: { __typename?: 'GenerateImagesPayload', replayed: boolean, task?: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, eventCursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type EditImageMutationVariables = Exact<{
  input: EditImageInput;
}>;


export type EditImageMutation = { __typename?: 'Mutation', editImage: { __typename?: 'EditImagePayload', replayed: boolean, task?: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, eventCursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type CancelTaskMutationVariables = Exact<{
  input: CancelTaskInput;
}>;


export type CancelTaskMutation = { __typename?: 'Mutation', cancelTask: { __typename?: 'CancelTaskPayload', outcome?: CancelOutcome | null, task?: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, eventCursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type RetryTaskMutationVariables = Exact<{
  input: RetryTaskInput;
}>;


export type RetryTaskMutation = { __typename?: 'Mutation', retryTask: { __typename?: 'RetryTaskPayload', task?: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, eventCursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

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


export type TaskUpdatedSubscription = { __typename?: 'Subscription', taskUpdated: { __typename?: 'TaskEvent', id: string, cursor: string, type: TaskEventType, at: string, actor: string, data: unknown, task: { __typename?: 'Task', id: string, kind: TaskKind, status: TaskStatus, prompt: string, model: string, size?: string | null, requestedCount: number, deliveredCount: number, sourceImageUrl?: string | null, upstreamTaskId?: string | null, upstreamTraceId?: string | null, idempotencyKey?: string | null, metadata?: unknown | null, createdAt: string, submittedAt?: string | null, finishedAt?: string | null, deadlineAt: string, eventCursor: string, sourceImage?: { __typename?: 'Image', id: string } | null, images: Array<{ __typename?: 'Image', id: string, index: number, url: string, upstreamUrl?: string | null, width?: number | null, height?: number | null, mimeType?: string | null, byteSize?: number | null, sha256?: string | null, thumbhash?: string | null, seed?: string | null, inferenceSeconds?: number | null, storedAt?: string | null }>, error?: { __typename?: 'TaskError', code: string, message: string, retryable: boolean, upstreamCode?: string | null, upstreamTraceId?: string | null } | null, retryOf?: { __typename?: 'Task', id: string } | null, cost: { __typename?: 'TaskCost', estimated?: string | null, final?: string | null, currency?: string | null } } } };

export type TaskEventsSubscriptionVariables = Exact<{
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<TaskEventFilter>;
}>;


export type TaskEventsSubscription = { __typename?: 'Subscription', taskEvents: { __typename?: 'TaskEvent', id: string, cursor: string, type: TaskEventType, at: string, actor: string, data: unknown, task: { __typename?: 'Task', id: string, status: TaskStatus } } };

export type TaskEventPageQueryVariables = Exact<{
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
  filter?: InputMaybe<TaskEventFilter>;
}>;


export type TaskEventPageQuery = { __typename?: 'Query', taskEvents: { __typename?: 'TaskEventConnection', nodes: Array<{ __typename?: 'TaskEvent', id: string, cursor: string, type: TaskEventType, task: { __typename?: 'Task', id: string } }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null, eventCursor?: string | null } } };

export type CreateUploadMutationVariables = Exact<{
  input: CreateUploadInput;
}>;


export type CreateUploadMutation = { __typename?: 'Mutation', createUpload: { __typename?: 'CreateUploadPayload', upload?: { __typename?: 'Upload', imageId: string, url: string, maxBytes: number, expiresAt: string } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type DeleteImageMutationVariables = Exact<{
  input: DeleteImageInput;
}>;


export type DeleteImageMutation = { __typename?: 'Mutation', deleteImage: { __typename?: 'DeleteImagePayload', image?: { __typename?: 'Image', id: string, deletedAt?: string | null } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type ImageLineageQueryVariables = Exact<{
  id: Scalars['ID']['input'];
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
  width?: InputMaybe<Scalars['Int']['input']>;
  format?: InputMaybe<ImageFormat>;
}>;


export type ImageLineageQuery = { __typename?: 'Query', image?: { __typename?: 'Image', id: string, url: string, deletedAt?: string | null, parent?: { __typename?: 'Image', id: string } | null, edits: { __typename?: 'ImageConnection', nodes: Array<{ __typename?: 'Image', id: string, task?: { __typename?: 'Task', prompt: string } | null }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null } } } | null };

export type QueuePositionsQueryVariables = Exact<{
  first: Scalars['Int']['input'];
}>;


export type QueuePositionsQuery = { __typename?: 'Query', tasks: { __typename?: 'TaskConnection', nodes: Array<{ __typename?: 'Task', id: string, status: TaskStatus, priority: TaskPriority, queuePosition?: number | null }> } };

export type SetBudgetMutationVariables = Exact<{
  input: SetBudgetInput;
}>;


export type SetBudgetMutation = { __typename?: 'Mutation', setBudget: { __typename?: 'SetBudgetPayload', budget?: { __typename?: 'Budget', scope: BudgetScope, scopeId: string, month: string, currency: string, limit: string, reserved: string, spent: string, uncertain: string, remaining: string } | null, userErrors: Array<{ __typename?: 'UserError', code: string, message: string, field?: Array<string> | null }> } };

export type BudgetsQueryVariables = Exact<{
  month?: InputMaybe<Scalars['String']['input']>;
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
}>;


export type BudgetsQuery = { __typename?: 'Query', budgets: { __typename?: 'BudgetConnection', nodes: Array<{ __typename?: 'Budget', scope: BudgetScope, scopeId: string, month: string, currency: string, limit: string, reserved: string, spent: string, uncertain: string, remaining: string }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null } } };

export type UsageQueryVariables = Exact<{
  from: Scalars['DateTime']['input'];
  to: Scalars['DateTime']['input'];
  groupBy: UsageGrouping;
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['String']['input']>;
}>;


export type UsageQuery = { __typename?: 'Query', usage: { __typename?: 'UsageGroupConnection', nodes: Array<{ __typename?: 'UsageGroup', groupKey?: string | null, keyName?: string | null, taskCount: number, imageCount: number, currency?: string | null, cost?: string | null, reserved?: string | null, uncertain?: string | null }>, pageInfo: { __typename?: 'PageInfo', hasNextPage: boolean, endCursor?: string | null } } };

export const ImageFieldsFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}}]} as unknown as DocumentNode<ImageFieldsFragment, unknown>;
export const TaskFieldsFragmentDoc = {"kind":"Document","definitions":[{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"eventCursor"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}}]} as unknown as DocumentNode<TaskFieldsFragment, unknown>;
export const ViewerDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Viewer"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"viewer"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"workspaceId"}},{"kind":"Field","name":{"kind":"Name","value":"workspaceName"}},{"kind":"Field","name":{"kind":"Name","value":"keyId"}},{"kind":"Field","name":{"kind":"Name","value":"keyName"}},{"kind":"Field","name":{"kind":"Name","value":"keyPrefix"}},{"kind":"Field","name":{"kind":"Name","value":"scopes"}}]}}]}}]} as unknown as DocumentNode<ViewerQuery, ViewerQueryVariables>;
export const ModelsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Models"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"models"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"name"}},{"kind":"Field","name":{"kind":"Name","value":"canGenerate"}},{"kind":"Field","name":{"kind":"Name","value":"canEdit"}},{"kind":"Field","name":{"kind":"Name","value":"isDeprecated"}},{"kind":"Field","name":{"kind":"Name","value":"aspectRatios"}},{"kind":"Field","name":{"kind":"Name","value":"pixelSizes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"minSide"}},{"kind":"Field","name":{"kind":"Name","value":"maxSide"}},{"kind":"Field","name":{"kind":"Name","value":"multipleOf"}}]}},{"kind":"Field","name":{"kind":"Name","value":"maxCount"}},{"kind":"Field","name":{"kind":"Name","value":"defaultSize"}}]}}]}}]} as unknown as DocumentNode<ModelsQuery, ModelsQueryVariables>;
export const TaskByIdDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"TaskById"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}},{"kind":"Field","name":{"kind":"Name","value":"lateImages"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"eventCursor"}}]}}]} as unknown as DocumentNode<TaskByIdQuery, TaskByIdQueryVariables>;
export const TaskWebhookDeliveriesDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"TaskWebhookDeliveries"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"firstAttempts"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"afterAttempt"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"webhookUrl"}},{"kind":"Field","name":{"kind":"Name","value":"webhookDeliveries"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"nextAttemptAt"}},{"kind":"Field","name":{"kind":"Name","value":"attemptCount"}},{"kind":"Field","name":{"kind":"Name","value":"attempts"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"firstAttempts"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"afterAttempt"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"attemptNumber"}},{"kind":"Field","name":{"kind":"Name","value":"at"}},{"kind":"Field","name":{"kind":"Name","value":"statusCode"}},{"kind":"Field","name":{"kind":"Name","value":"errorMessage"}},{"kind":"Field","name":{"kind":"Name","value":"latencyMs"}},{"kind":"Field","name":{"kind":"Name","value":"responseBody"}},{"kind":"Field","name":{"kind":"Name","value":"nextAttemptAt"}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]}}]} as unknown as DocumentNode<TaskWebhookDeliveriesQuery, TaskWebhookDeliveriesQueryVariables>;
export const RedeliverWebhookDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"RedeliverWebhook"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"RedeliverWebhookInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"redeliverWebhook"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<RedeliverWebhookMutation, RedeliverWebhookMutationVariables>;
export const WebhookSecretDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"WebhookSecret"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"webhookSecret"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"secret"}},{"kind":"Field","name":{"kind":"Name","value":"previousSecretExpiresAt"}}]}}]}}]} as unknown as DocumentNode<WebhookSecretQuery, WebhookSecretQueryVariables>;
export const RotateWebhookSecretDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"RotateWebhookSecret"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"RotateWebhookSecretInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"rotateWebhookSecret"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"webhookSecret"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"secret"}},{"kind":"Field","name":{"kind":"Name","value":"previousSecretExpiresAt"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<RotateWebhookSecretMutation, RotateWebhookSecretMutationVariables>;
export const TaskHistoryDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"TaskHistory"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"events"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"type"}},{"kind":"Field","name":{"kind":"Name","value":"at"}},{"kind":"Field","name":{"kind":"Name","value":"actor"}},{"kind":"Field","name":{"kind":"Name","value":"data"}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]}}]} as unknown as DocumentNode<TaskHistoryQuery, TaskHistoryQueryVariables>;
export const TasksDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Tasks"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"filter"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"TaskFilter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"tasks"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"Variable","name":{"kind":"Name","value":"filter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"edges"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"node"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"hasPreviousPage"}},{"kind":"Field","name":{"kind":"Name","value":"startCursor"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}},{"kind":"Field","name":{"kind":"Name","value":"eventCursor"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"eventCursor"}}]}}]} as unknown as DocumentNode<TasksQuery, TasksQueryVariables>;
export const ImageByIdDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"ImageById"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"image"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"parent"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}}]} as unknown as DocumentNode<ImageByIdQuery, ImageByIdQueryVariables>;
export const GenerateImagesDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"GenerateImages"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"GenerateImagesInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"generateImages"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"replayed"}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"eventCursor"}}]}}]} as unknown as DocumentNode<GenerateImagesMutation, GenerateImagesMutationVariables>;
export const EditImageDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"EditImage"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"EditImageInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"editImage"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"replayed"}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"eventCursor"}}]}}]} as unknown as DocumentNode<EditImageMutation, EditImageMutationVariables>;
export const CancelTaskDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"CancelTask"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"CancelTaskInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"cancelTask"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"outcome"}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"eventCursor"}}]}}]} as unknown as DocumentNode<CancelTaskMutation, CancelTaskMutationVariables>;
export const RetryTaskDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"RetryTask"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"RetryTaskInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"retryTask"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"eventCursor"}}]}}]} as unknown as DocumentNode<RetryTaskMutation, RetryTaskMutationVariables>;
export const CallbacksDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Callbacks"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"filter"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"CallbackFilter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"callbacks"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"Variable","name":{"kind":"Name","value":"filter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"receivedAt"}},{"kind":"Field","name":{"kind":"Name","value":"verdict"}},{"kind":"Field","name":{"kind":"Name","value":"body"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]} as unknown as DocumentNode<CallbacksQuery, CallbacksQueryVariables>;
export const ReplayCallbackDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"ReplayCallback"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ReplayCallbackInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"replayCallback"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"callback"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"verdict"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<ReplayCallbackMutation, ReplayCallbackMutationVariables>;
export const TaskUpdatedDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"subscription","name":{"kind":"Name","value":"TaskUpdated"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"taskUpdated"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"type"}},{"kind":"Field","name":{"kind":"Name","value":"at"}},{"kind":"Field","name":{"kind":"Name","value":"actor"}},{"kind":"Field","name":{"kind":"Name","value":"data"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"TaskFields"}}]}}]}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"ImageFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Image"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"index"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamUrl"}},{"kind":"Field","name":{"kind":"Name","value":"width"}},{"kind":"Field","name":{"kind":"Name","value":"height"}},{"kind":"Field","name":{"kind":"Name","value":"mimeType"}},{"kind":"Field","name":{"kind":"Name","value":"byteSize"}},{"kind":"Field","name":{"kind":"Name","value":"sha256"}},{"kind":"Field","name":{"kind":"Name","value":"thumbhash"}},{"kind":"Field","name":{"kind":"Name","value":"seed"}},{"kind":"Field","name":{"kind":"Name","value":"inferenceSeconds"}},{"kind":"Field","name":{"kind":"Name","value":"storedAt"}}]}},{"kind":"FragmentDefinition","name":{"kind":"Name","value":"TaskFields"},"typeCondition":{"kind":"NamedType","name":{"kind":"Name","value":"Task"}},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"kind"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"prompt"}},{"kind":"Field","name":{"kind":"Name","value":"model"}},{"kind":"Field","name":{"kind":"Name","value":"size"}},{"kind":"Field","name":{"kind":"Name","value":"requestedCount"}},{"kind":"Field","name":{"kind":"Name","value":"deliveredCount"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImageUrl"}},{"kind":"Field","name":{"kind":"Name","value":"sourceImage"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"images"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"FragmentSpread","name":{"kind":"Name","value":"ImageFields"}}]}},{"kind":"Field","name":{"kind":"Name","value":"error"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"retryable"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamCode"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}}]}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTaskId"}},{"kind":"Field","name":{"kind":"Name","value":"upstreamTraceId"}},{"kind":"Field","name":{"kind":"Name","value":"idempotencyKey"}},{"kind":"Field","name":{"kind":"Name","value":"metadata"}},{"kind":"Field","name":{"kind":"Name","value":"retryOf"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"createdAt"}},{"kind":"Field","name":{"kind":"Name","value":"submittedAt"}},{"kind":"Field","name":{"kind":"Name","value":"finishedAt"}},{"kind":"Field","name":{"kind":"Name","value":"deadlineAt"}},{"kind":"Field","name":{"kind":"Name","value":"cost"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"estimated"}},{"kind":"Field","name":{"kind":"Name","value":"final"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}}]}},{"kind":"Field","name":{"kind":"Name","value":"eventCursor"}}]}}]} as unknown as DocumentNode<TaskUpdatedSubscription, TaskUpdatedSubscriptionVariables>;
export const TaskEventsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"subscription","name":{"kind":"Name","value":"TaskEvents"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"filter"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"TaskEventFilter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"taskEvents"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"Variable","name":{"kind":"Name","value":"filter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"type"}},{"kind":"Field","name":{"kind":"Name","value":"at"}},{"kind":"Field","name":{"kind":"Name","value":"actor"}},{"kind":"Field","name":{"kind":"Name","value":"data"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}}]}}]}}]}}]} as unknown as DocumentNode<TaskEventsSubscription, TaskEventsSubscriptionVariables>;
export const TaskEventPageDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"TaskEventPage"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"filter"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"TaskEventFilter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"taskEvents"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"Variable","name":{"kind":"Name","value":"filter"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"cursor"}},{"kind":"Field","name":{"kind":"Name","value":"type"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}},{"kind":"Field","name":{"kind":"Name","value":"eventCursor"}}]}}]}}]}}]} as unknown as DocumentNode<TaskEventPageQuery, TaskEventPageQueryVariables>;
export const CreateUploadDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"CreateUpload"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"CreateUploadInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"createUpload"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"upload"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"imageId"}},{"kind":"Field","name":{"kind":"Name","value":"url"}},{"kind":"Field","name":{"kind":"Name","value":"maxBytes"}},{"kind":"Field","name":{"kind":"Name","value":"expiresAt"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<CreateUploadMutation, CreateUploadMutationVariables>;
export const DeleteImageDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"DeleteImage"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"DeleteImageInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"deleteImage"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"image"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"deletedAt"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<DeleteImageMutation, DeleteImageMutationVariables>;
export const ImageLineageDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"ImageLineage"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"id"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"ID"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"width"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"format"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"ImageFormat"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"image"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"id"},"value":{"kind":"Variable","name":{"kind":"Name","value":"id"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"url"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"width"},"value":{"kind":"Variable","name":{"kind":"Name","value":"width"}}},{"kind":"Argument","name":{"kind":"Name","value":"format"},"value":{"kind":"Variable","name":{"kind":"Name","value":"format"}}}]},{"kind":"Field","name":{"kind":"Name","value":"deletedAt"}},{"kind":"Field","name":{"kind":"Name","value":"parent"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}}]}},{"kind":"Field","name":{"kind":"Name","value":"edits"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"task"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"prompt"}}]}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]}}]} as unknown as DocumentNode<ImageLineageQuery, ImageLineageQueryVariables>;
export const QueuePositionsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"QueuePositions"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"tasks"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"filter"},"value":{"kind":"ObjectValue","fields":[{"kind":"ObjectField","name":{"kind":"Name","value":"statuses"},"value":{"kind":"ListValue","values":[{"kind":"EnumValue","value":"QUEUED"}]}}]}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"id"}},{"kind":"Field","name":{"kind":"Name","value":"status"}},{"kind":"Field","name":{"kind":"Name","value":"priority"}},{"kind":"Field","name":{"kind":"Name","value":"queuePosition"}}]}}]}}]}}]} as unknown as DocumentNode<QueuePositionsQuery, QueuePositionsQueryVariables>;
export const SetBudgetDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"mutation","name":{"kind":"Name","value":"SetBudget"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"input"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"SetBudgetInput"}}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"setBudget"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"input"},"value":{"kind":"Variable","name":{"kind":"Name","value":"input"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"budget"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"scope"}},{"kind":"Field","name":{"kind":"Name","value":"scopeId"}},{"kind":"Field","name":{"kind":"Name","value":"month"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"limit"}},{"kind":"Field","name":{"kind":"Name","value":"reserved"}},{"kind":"Field","name":{"kind":"Name","value":"spent"}},{"kind":"Field","name":{"kind":"Name","value":"uncertain"}},{"kind":"Field","name":{"kind":"Name","value":"remaining"}}]}},{"kind":"Field","name":{"kind":"Name","value":"userErrors"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"code"}},{"kind":"Field","name":{"kind":"Name","value":"message"}},{"kind":"Field","name":{"kind":"Name","value":"field"}}]}}]}}]}}]} as unknown as DocumentNode<SetBudgetMutation, SetBudgetMutationVariables>;
export const BudgetsDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Budgets"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"month"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"budgets"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"month"},"value":{"kind":"Variable","name":{"kind":"Name","value":"month"}}},{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"scope"}},{"kind":"Field","name":{"kind":"Name","value":"scopeId"}},{"kind":"Field","name":{"kind":"Name","value":"month"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"limit"}},{"kind":"Field","name":{"kind":"Name","value":"reserved"}},{"kind":"Field","name":{"kind":"Name","value":"spent"}},{"kind":"Field","name":{"kind":"Name","value":"uncertain"}},{"kind":"Field","name":{"kind":"Name","value":"remaining"}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]} as unknown as DocumentNode<BudgetsQuery, BudgetsQueryVariables>;
export const UsageDocument = {"kind":"Document","definitions":[{"kind":"OperationDefinition","operation":"query","name":{"kind":"Name","value":"Usage"},"variableDefinitions":[{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"from"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"DateTime"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"to"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"DateTime"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"groupBy"}},"type":{"kind":"NonNullType","type":{"kind":"NamedType","name":{"kind":"Name","value":"UsageGrouping"}}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"first"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"Int"}}},{"kind":"VariableDefinition","variable":{"kind":"Variable","name":{"kind":"Name","value":"after"}},"type":{"kind":"NamedType","name":{"kind":"Name","value":"String"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"usage"},"arguments":[{"kind":"Argument","name":{"kind":"Name","value":"from"},"value":{"kind":"Variable","name":{"kind":"Name","value":"from"}}},{"kind":"Argument","name":{"kind":"Name","value":"to"},"value":{"kind":"Variable","name":{"kind":"Name","value":"to"}}},{"kind":"Argument","name":{"kind":"Name","value":"groupBy"},"value":{"kind":"Variable","name":{"kind":"Name","value":"groupBy"}}},{"kind":"Argument","name":{"kind":"Name","value":"first"},"value":{"kind":"Variable","name":{"kind":"Name","value":"first"}}},{"kind":"Argument","name":{"kind":"Name","value":"after"},"value":{"kind":"Variable","name":{"kind":"Name","value":"after"}}}],"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"nodes"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"groupKey"}},{"kind":"Field","name":{"kind":"Name","value":"keyName"}},{"kind":"Field","name":{"kind":"Name","value":"taskCount"}},{"kind":"Field","name":{"kind":"Name","value":"imageCount"}},{"kind":"Field","name":{"kind":"Name","value":"currency"}},{"kind":"Field","name":{"kind":"Name","value":"cost"}},{"kind":"Field","name":{"kind":"Name","value":"reserved"}},{"kind":"Field","name":{"kind":"Name","value":"uncertain"}}]}},{"kind":"Field","name":{"kind":"Name","value":"pageInfo"},"selectionSet":{"kind":"SelectionSet","selections":[{"kind":"Field","name":{"kind":"Name","value":"hasNextPage"}},{"kind":"Field","name":{"kind":"Name","value":"endCursor"}}]}}]}}]}}]} as unknown as DocumentNode<UsageQuery, UsageQueryVariables>;