import { expect, test } from '@jest/globals';
import { startupMessage } from '../../src/app/startup-message.js';
import { readConfig } from '../../src/config/config.js';

const config = readConfig({});
const url = 'http://127.0.0.1:4000';
const quoted = /'({.*})'/;

test.each(['linux', 'darwin', 'win32'] as const)(
  'the first start on %s prints a command for its shell',
  (platform) => {
    const message = startupMessage({ url, firstApiKey: 'dk_first', config, platform });
    // Between single quotes, both shells leave everything as it is.
    const [, body = ''] = quoted.exec(message) ?? [];
    expect(JSON.parse(body)).toEqual({ query: expect.stringContaining('prompt: "a lighthouse at dusk"') });
    expect(message).toContain('Bearer dk_first');
    const [first] = message.split('Try it:\n\n')[1]?.split(' ') ?? [];
    expect(first).toBe(platform === 'win32' ? 'Invoke-RestMethod' : 'curl');
  },
);

test('later starts print no key and no command', () => {
  const message = startupMessage({ url, firstApiKey: null, config });
  expect(message).toBe(
    `Darkroom is listening at ${url}/graphql\nUpstream: the sandbox (images cost nothing)\n`,
  );
});
