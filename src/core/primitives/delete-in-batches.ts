/** Rows of one DELETE statement. */
const BATCH_SIZE = 1_000;

/** Calls `deleteBatch` until it deletes less than a batch, or until the signal is aborted. It returns the number of deleted rows. */
export async function deleteInBatches(
  deleteBatch: (limit: number) => Promise<number>,
  signal?: AbortSignal,
): Promise<void> {
  while (!signal?.aborted && (await deleteBatch(BATCH_SIZE)) === BATCH_SIZE);
}
