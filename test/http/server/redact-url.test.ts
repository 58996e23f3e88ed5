import { expect, test } from '@jest/globals';
import { redactUrl } from '../../../src/http/server/http-app.js';

test.each([
  '/callbacks/flux/id/token',
  '/Callbacks/flux/id/token?x=1',
  'http://host/callbacks/flux/id/token',
])('the log has no token of the callback link %s', (url) => {
  expect(redactUrl(url)).toMatch(/\/callbacks\/\[redacted\]$/);
});
