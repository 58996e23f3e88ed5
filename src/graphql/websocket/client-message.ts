import { isUtf8 } from 'node:buffer';
import { CloseCode, type Message, MessageType, type PingMessage, validateMessage } from 'graphql-ws';
import { readCallerJson } from '../../core/primitives/encoding/caller-json.js';
import { BadRequest } from '../../core/errors.js';
import { CLOSE_FRAMES } from './close-frames.js';

/** RFC 6455, 5.5: a control frame has 125 bytes, and two of them are the code. */
const MAX_REASON_BYTES = 123;
const MESSAGE = 'The message';
const AUTHORIZATION = 'authorization';

/** Reads a message of a client. Throws BadRequest for bytes that are not exactly JSON, and graphql-ws's error for any other. */
export function readClientMessage(bytes: Buffer): Message {
  return validateMessage(readCallerJson(bytes, MESSAGE));
}

/** The answer to a ping, as JSON. Null for a payload that is nested so deeply that writing it would overflow the stack. */
export function pongFor({ payload }: PingMessage): string | null {
  try {
    return JSON.stringify({ type: MessageType.Pong, ...(payload && { payload }) });
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** The operation that a refused message would have started. Null if it would have started none. */
export function operationIdIn(bytes: Buffer): string | null {
  if (!isUtf8(bytes)) return null;
  try {
    const message = validateMessage(JSON.parse(bytes.toString()));
    return message.type === MessageType.Subscribe ? message.id : null;
  } catch {
    return null;
  }
}

/** How the socket closes after a message that cannot be read. */
export function closeFrameOf(error: unknown, bytes: Buffer): { code: number; reason: string } {
  if (!(error instanceof BadRequest)) return CLOSE_FRAMES.badRequest;
  const code = isUtf8(bytes) ? CloseCode.BadRequest : CLOSE_FRAMES.notUtf8.code;
  return { code, reason: shorten(error.message) };
}

/**
 * The credential in the payload of connection_init: `authorization` in any case, in the payload itself or in its `headers`, where
 * clients put it that have one configuration for HTTP and WebSocket.
 */
export function credentialIn(payload: Record<string, unknown> | undefined): unknown {
  return fieldOf(payload, AUTHORIZATION) ?? fieldOf(fieldOf(payload, 'headers'), AUTHORIZATION);
}

function fieldOf(object: unknown, name: string): unknown {
  if (typeof object !== 'object' || object === null) return undefined;
  return Object.entries(object).find(([key]) => key.toLowerCase() === name)?.[1];
}

function shorten(text: string): string {
  let short = text;
  while (Buffer.byteLength(short) > MAX_REASON_BYTES) short = [...short].slice(0, -1).join('');
  return short;
}
