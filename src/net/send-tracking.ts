import { type Dispatcher } from 'undici';

/**
 * Calls `onBeforeSend` when the connection is established and the request is about to be written. Until then not one byte was
 * sent, whether DNS, TCP, TLS or a timeout failed. A list of error codes would miss new ones.
 */
export function beforeSend(
  onBeforeSend: (abort: (reason: Error) => void) => void,
): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) =>
    dispatch(options, {
      onRequestStart: (controller, context) => {
        onBeforeSend((reason) => controller.abort(reason));
        handler.onRequestStart?.(controller, context);
      },
      onResponseStart: (...event) => handler.onResponseStart?.(...event),
      onResponseData: (...event) => handler.onResponseData?.(...event),
      onResponseEnd: (...event) => handler.onResponseEnd?.(...event),
      onResponseError: (...event) => handler.onResponseError?.(...event),
    });
}
