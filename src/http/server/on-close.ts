import { type Response } from 'express';

/** Runs `cleanUp` when the response closes, or at once if it is closed already: the event `close` is not emitted again. */
export function onClose(response: Response, cleanUp: () => void): void {
  if (response.destroyed) cleanUp();
  else response.once('close', cleanUp);
}
