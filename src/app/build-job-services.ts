import { AuditRepository } from '../db/access/audit-repository.js';
import { CallbackRepository } from '../db/callbacks/callback-repository.js';
import { BlobRepository } from '../db/images/blob-repository.js';
import { ImageRepository } from '../db/images/image-repository.js';
import { UploadRepository } from '../db/images/upload-repository.js';
import { InFlightRepository } from '../db/limits/in-flight-repository.js';
import { RateLimitRepository } from '../db/limits/rate-limit-repository.js';
import { CatalogRepository } from '../db/postgres/catalog-repository.js';
import { type JobServices } from '../jobs/handlers.js';
import { Audit } from '../services/access/audit.js';
import { CallbackInbox } from '../services/callbacks/callback-inbox.js';
import { Retention } from '../services/images/retention.js';
import { Uploads } from '../services/images/uploads.js';
import { TableStatistics } from '../services/operations/table-statistics.js';
import { RateLimits, RATE_LIMIT_WINDOW_MS } from '../services/limits/rate-limits.js';
import { type Adapters } from './adapters.js';
import { type AppContext } from './app-context.js';
import { type Services } from './services.js';

/**
 * The services that jobs call. Deleting by age and deleting unused blobs use the background connections, so that a statement
 * that hangs takes none from requests and tasks. What sends, reads and stores results is not background work, and uses one
 * statement at a time.
 */
export function buildJobServices(
  { backgroundDb, ...adapters }: Adapters,
  services: Services,
  { config, log }: AppContext,
): JobServices {
  const shared = {
    ...adapters,
    ...services,
    auditLog: new AuditRepository(backgroundDb),
    blobs: new BlobRepository(backgroundDb),
    callbacks: new CallbackRepository(backgroundDb),
    images: new ImageRepository(backgroundDb),
    uploads: new UploadRepository(backgroundDb),
    rateLimitWindows: new RateLimitRepository(backgroundDb),
    inFlight: new InFlightRepository(backgroundDb),
    log,
  };
  return {
    ...services,
    audit: new Audit(shared.auditLog),
    callbackInbox: new CallbackInbox({ ...shared, retentionDays: config.callbackRetentionDays }),
    rateLimits: new RateLimits({ ...shared, defaults: config.limits, windowMs: RATE_LIMIT_WINDOW_MS }),
    retention: new Retention({ ...shared, retentionDays: config.images.retentionDays }),
    tableStatistics: new TableStatistics({ catalog: new CatalogRepository(backgroundDb), log }),
    uploads: new Uploads({ ...shared, maxBytes: config.images.maxBytes }),
  };
}
