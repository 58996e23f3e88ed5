import { type Dispatcher } from 'undici';

/**
 * Calls `watch` when a connection is there and the request is about to be written. Until then nothing has left, which
 * covers refused connections, DNS, TLS and time-outs alike; a list of error codes would have to guess at new ones.
 */
export function beforeWriting(
  watch: (abort: (reason: Error) => void) => void,
): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) =>
    dispatch(options, {
      onRequestStart: (controller, context) => {
        watch((reason) => controller.abort(reason));
        handler.onRequestStart?.(controller, context);
      },
      onResponseStart: (...event) => handler.onResponseStart?.(...event),
      onResponseData: (...event) => handler.onResponseData?.(...event),
      onResponseEnd: (...event) => handler.onResponseEnd?.(...event),
      onResponseError: (...event) => handler.onResponseError?.(...event),
    });
}
