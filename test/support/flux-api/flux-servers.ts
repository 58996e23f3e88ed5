import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import express from 'express';
import { pino } from 'pino';
import { Sandbox } from '../../../src/sandbox/sandbox.js';
import { TestApp } from '../app/test-app.js';

/** A running server of the Flux API. */
export interface FluxServer {
  /** Without a trailing slash. */
  url: string;
  token: string;
  close(): Promise<void>;
}

/** Short, but long enough for a test to see a running task. */
const DELAY_MS = 150;
const TOKEN = 'sandbox-token';

/** Starts the sandbox, which stands in for the hosted upstream. */
export async function startSandbox(): Promise<FluxServer> {
  const log = pino({ level: 'silent' });
  let url = '';
  const sandbox = new Sandbox({ token: TOKEN, publicUrl: () => url, log, delayMs: DELAY_MS });
  const server = createServer(express().use(sandbox.router)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async () => {
    await sandbox.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url, token: TOKEN, close };
}

/** Starts Darkroom with the sandbox as its upstream. */
export async function startDarkroom(): Promise<FluxServer> {
  const app = await TestApp.start({
    environment: { ALLOW_PRIVATE_HOSTS: '127.0.0.1' },
    tuning: { sandboxDelayMs: DELAY_MS },
  });
  return { url: app.url, token: app.apiKey, close: () => app.stop() };
}

export interface FluxResponse {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

export interface FluxImage {
  prompt: string;
  image_url: string;
}

export function imagesOf({ body }: Pick<FluxResponse, 'body'>): FluxImage[] {
  return body.data as FluxImage[];
}

/** The status and the error code. The code is undefined for a success. */
export function statusAndCode({ status, body }: FluxResponse): [number, unknown] {
  return [status, (body.error as { code?: unknown } | undefined)?.code];
}

/** A client of the Flux API of a running service, by default with its first API key. */
export function fluxClientFor({ url, apiKey: key }: TestApp, token = key): FluxClient {
  return new FluxClient({ url, token });
}

/** A minimal client of a Flux API, as a customer would write it with `fetch`. */
export class FluxClient {
  constructor(
    private readonly server: Pick<FluxServer, 'url' | 'token'>,
    private readonly headers: Record<string, string> = { authorization: `Bearer ${server.token}` },
  ) {}

  images(body: object): Promise<FluxResponse> {
    return this.post('/flux/images', JSON.stringify(body));
  }

  tasks(body: object): Promise<FluxResponse> {
    return this.post('/flux/tasks', JSON.stringify(body));
  }

  async post(path: string, body: string, headers: Record<string, string> = {}): Promise<FluxResponse> {
    const response = await fetch(this.server.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...this.headers, ...headers },
      body,
    });
    const json = (await response.json()) as Record<string, unknown>;
    return { status: response.status, headers: response.headers, body: json };
  }

  /** Polls the task until it is finished and returns it. */
  async waitUntilFinished(id: unknown): Promise<Record<string, unknown>> {
    for (;;) {
      const { body } = await this.tasks({ action: 'retrieve', id });
      if (body.finished_at !== undefined) return body;
    }
  }
}
