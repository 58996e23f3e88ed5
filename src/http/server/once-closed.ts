import { type Response } from 'express';

/** Also when the client has left before anybody asked, while its key was looked up: that is not heard a second time. */
export function onceClosed(response: Response, leave: () => void): void {
  if (response.destroyed) leave();
  else response.once('close', leave);
}
