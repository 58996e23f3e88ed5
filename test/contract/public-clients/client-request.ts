/** A request that a public client of the hosted API sends. */
export interface ClientRequest {
  /** The client, and what makes it send this request. */
  client: string;
  /** The body as the client's JSON library writes it, or the object. `SOURCE_IMAGE`, `CALLBACK` and `TASK_ID` stand for values of the test. */
  body: object | string;
  headers?: Readonly<Record<string, string>>;
  /** What the hosted API's specification refuses, and Darkroom takes. */
  refusedUpstream?: boolean;
}

/** URL of an image that the server can fetch. */
export const SOURCE_IMAGE = 'https://example.com/source.png';
/** URL of an endpoint that accepts everything, as `https://api.acedata.cloud/health` does for many clients. */
export const CALLBACK = 'https://example.com/callback';
/** ID of a task of the caller. */
export const TASK_ID = '01a20326-f609-77dd-9c6a-14f6d6a02789';

/** The body as it is sent, with the values of the test. */
export function fillIn(body: ClientRequest['body'], values: { [placeholder: string]: string }): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return Object.entries(values).reduce((filled, [name, value]) => filled.replaceAll(name, value), text);
}
