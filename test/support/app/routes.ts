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

/** Starts the service and lists the routes that are registered in express, such as `GET /images/:id`, each once. */
export async function startWithRoutes(options: TestAppOptions): Promise<{ app: TestApp; routes: string[] }> {
  const prototype = express.application as unknown as Application;
  const { handle } = prototype;
  const applications: Application[] = [];
  // Every application copies `handle` from the prototype when it is created, so a patched application still works.
  prototype.handle = function (...args) {
    if (applications.length === 0) applications.push(this);
    return handle.apply(this, args);
  };
  try {
    const app = await TestApp.start(options);
    await app.get('/healthz');
    return { app, routes: [...new Set(collectRoutes(applications[0]?.router.stack ?? []))] };
  } finally {
    prototype.handle = handle;
  }
}

function collectRoutes(stack: readonly Layer[]): string[] {
  return stack.flatMap(({ route, handle }) => {
    if (!route) return collectRoutes(handle.stack ?? []);
    const methods = Object.keys(route.methods).filter((method) => method !== '_all');
    return methods.map((method) => `${method.toUpperCase()} ${route.path}`);
  });
}
