import express from 'express';
import { TestApp, type TestAppOptions } from './test-app.js';

interface Layer {
  route?: { path: string; methods: Record<string, boolean> };
  handle: { stack?: Layer[] };
}
interface Application {
  handle: (this: Application, ...args: unknown[]) => unknown;
  router: { stack: Layer[] };
}

/** Starts the service and reads from express which routes it has, such as `GET /images/:id`, each once. */
export async function startWithRoutes(options: TestAppOptions): Promise<{ app: TestApp; routes: string[] }> {
  const prototype = express.application as unknown as Application;
  const { handle } = prototype;
  const asked: Application[] = [];
  // Each application copies it when it is made, and keeps the copy: so it goes on to do its work.
  prototype.handle = function (...args) {
    if (asked.length === 0) asked.push(this);
    return handle.apply(this, args);
  };
  try {
    const app = await TestApp.start(options);
    await app.get('/healthz');
    return { app, routes: [...new Set(routesOf(asked[0]?.router.stack ?? []))] };
  } finally {
    prototype.handle = handle;
  }
}

function routesOf(stack: readonly Layer[]): string[] {
  return stack.flatMap(({ route, handle }) => {
    if (!route) return routesOf(handle.stack ?? []);
    const methods = Object.keys(route.methods).filter((method) => method !== '_all');
    return methods.map((method) => `${method.toUpperCase()} ${route.path}`);
  });
}
