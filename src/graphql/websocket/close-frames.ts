import { CloseCode } from 'graphql-ws';
import { type StreamEndReason } from '../../core/events/event-sink.js';

/**
 * Close codes and reasons. Codes below 4000 are those of RFC 6455, and 44xx those of graphql-transport-ws. docs/PROTOCOL.md
 * lists them.
 */
export const CLOSE_FRAMES = {
  notUtf8: { code: 1007, reason: 'The message is not valid UTF-8' },
  goingAway: { code: 1001, reason: 'Going away' },
  tryAgainLater: { code: 1013, reason: 'Try again later' },
  tooManyConnections: { code: 1013, reason: 'Too many connections' },
  badRequest: { code: CloseCode.BadRequest, reason: 'Invalid graphql-transport-ws message' },
  unauthorized: { code: CloseCode.Unauthorized, reason: 'Unauthorized' },
  forbidden: { code: CloseCode.Forbidden, reason: 'Forbidden' },
  subprotocolNotAcceptable: {
    code: CloseCode.SubprotocolNotAcceptable,
    reason: 'Use the subprotocol graphql-transport-ws',
  },
  initTimeout: {
    code: CloseCode.ConnectionInitialisationTimeout,
    reason: 'Connection initialisation timeout',
  },
  subscriberAlreadyExists: { code: CloseCode.SubscriberAlreadyExists, reason: 'Operation ID already in use' },
  tooManyInitRequests: {
    code: CloseCode.TooManyInitialisationRequests,
    reason: 'Too many initialisation requests',
  },
  /** Darkroom's own code. The cursor to resume after is appended to the reason. */
  tooSlow: { code: 4480, reason: 'Too slow' },
} as const;

/** How the socket closes if the connection is refused with this HTTP status. */
export const CLOSE_FRAMES_BY_STATUS: Readonly<Record<number, { code: number; reason: string }>> = {
  401: CLOSE_FRAMES.forbidden,
  429: CLOSE_FRAMES.tooManyConnections,
};

/** How the socket closes if the push ends a subscription for this reason. */
export const CLOSE_FRAMES_BY_REASON = {
  'going-away': CLOSE_FRAMES.goingAway,
  'too-slow': CLOSE_FRAMES.tooSlow,
  'api-key-revoked': CLOSE_FRAMES.forbidden,
} as const satisfies Record<StreamEndReason, object>;
