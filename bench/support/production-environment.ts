import { MIN_THREADS } from '../../src/config/thread-pool.js';

/** What `npm start` and the container image set. Without the first two, glibc keeps several times as much memory. */
export const PRODUCTION_ENVIRONMENT = {
  MALLOC_ARENA_MAX: '2',
  MALLOC_MMAP_THRESHOLD_: '1048576',
  // With fewer, the service starts itself once more, and a fault would hit the wrong process.
  UV_THREADPOOL_SIZE: String(MIN_THREADS),
};
