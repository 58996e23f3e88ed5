/** Rows of one DELETE statement. */
const BATCH_SIZE = 1_000;

/** Calls `deleteBatch`, which returns how many rows it deleted, until that is less than a batch or the signal is aborted. */
export async function deleteInBatches(
  deleteBatch: (limit: number) => Promise<number>,
  signal?: AbortSignal,
): Promise<void> {
  while (!signal?.aborted && (await deleteBatch(BATCH_SIZE)) === BATCH_SIZE);
}
