import { type ServerResponse } from 'node:http';

/** Runs `cleanUp` when the response closes, or at once if it is closed already: the event `close` is not emitted again. */
export function onClose(response: ServerResponse, cleanUp: () => void): void {
  if (response.destroyed) cleanUp();
  else response.once('close', cleanUp);
}

/** A signal that is aborted when the response closes: its client has left, or has been answered. */
export function closeSignalOf(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  onClose(response, () => controller.abort());
  return controller.signal;
}
