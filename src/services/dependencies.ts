import { type Logger } from 'pino';
import { type Signer } from '../core/access/signer.js';
import { type PriceList } from '../core/billing/prices.js';
import { type EventCursorCodec } from '../core/events/event-cursor.js';
import { type ApiKeyRepository } from '../db/access/api-key-repository.js';
import { type AuditRepository } from '../db/access/audit-repository.js';
import { type WorkspaceRepository } from '../db/access/workspace-repository.js';
import { type BudgetRepository } from '../db/billing/budget-repository.js';
import { type CallbackRepository } from '../db/callbacks/callback-repository.js';
import { type EventRepository } from '../db/events/event-repository.js';
import { type BlobRepository } from '../db/images/blob-repository.js';
import { type ImageRepository } from '../db/images/image-repository.js';
import { type UploadRepository } from '../db/images/upload-repository.js';
import { type ConnectionSlotRepository } from '../db/limits/connection-slot-repository.js';
import { type InFlightRepository } from '../db/limits/in-flight-repository.js';
import { type RateLimitRepository } from '../db/limits/rate-limit-repository.js';
import { type LeaseRepository } from '../db/instances/lease-repository.js';
import { type SubmissionPaceRepository } from '../db/tasks/submission-pace-repository.js';
import { type TaskRepository } from '../db/tasks/task-repository.js';
import { type WebhookRepository } from '../db/webhooks/webhook-repository.js';
import { type EventLog } from '../event-log/event-log.js';
import { type HttpClient } from '../net/http-client.js';
import { type ImageStore } from '../storage/image-store.js';
import { type AceDataClient } from '../upstreams/acedata-client.js';
import { type UpstreamGate } from '../upstreams/upstream-gate.js';

/** What `app/` builds below the services, under the name that all of them use. Each service picks what it needs. */
export interface Dependencies {
  rateLimitWindows: RateLimitRepository;
  auditLog: AuditRepository;
  blobs: BlobRepository;
  budgets: BudgetRepository;
  callbacks: CallbackRepository;
  cursors: EventCursorCodec;
  eventLog: EventLog;
  events: EventRepository;
  /** Fetches the images that the upstream links to. */
  http: HttpClient;
  images: ImageRepository;
  inFlight: InFlightRepository;
  apiKeys: ApiKeyRepository;
  leases: LeaseRepository;
  log: Logger;
  priceList: PriceList;
  signer: Signer;
  slots: ConnectionSlotRepository;
  store: ImageStore;
  submissionPace: SubmissionPaceRepository;
  tasks: TaskRepository;
  uploads: UploadRepository;
  upstream: AceDataClient;
  upstreamGate: UpstreamGate;
  webhooks: WebhookRepository;
  workspaces: WorkspaceRepository;
}
