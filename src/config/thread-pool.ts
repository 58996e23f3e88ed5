/**
 * Threads that Node.js needs for disks, host names and cryptography. Disks that hang can keep six of them: two of the spools,
 * two of the image files, and two decoders. Host names can keep half of all, of which those that callers choose take at most
 * four (src/net/host-lookup.ts).
 */
export const MIN_THREADS = 16;

/**
 * The environment in which this process has enough threads. Null: it has them. Their number is fixed before a program runs, so
 * it cannot change it for itself.
 */
export function environmentWithThreads(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv | null {
  if (Number(environment['UV_THREADPOOL_SIZE']) >= MIN_THREADS) return null;
  return { ...environment, UV_THREADPOOL_SIZE: String(MIN_THREADS) };
}
