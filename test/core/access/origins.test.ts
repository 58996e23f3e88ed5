import { expect, test } from '@jest/globals';
import { isOriginAllowed, parseOriginRule } from '../../../src/core/access/origins.js';

const allows = (rule: string, origin: string): boolean => {
  const parsed = parseOriginRule(rule);
  return parsed !== null && isOriginAllowed(origin, [parsed]);
};

test.each([
  ['https://app.example.com', 'https://app.example.com'],
  ['HTTPS://App.Example.com:443', 'https://app.example.com'],
  ['http://localhost:5173', 'http://localhost:5173'],
  ['http://[::1]:3000', 'http://[::1]:3000'],
  ['https://*.example.com', 'https://a.example.com'],
  ['https://*.company.com', 'https://a.b.company.com'],
  ['https://*.Example.com:8443', 'https://a.example.com:8443'],
  ['capacitor://localhost', 'capacitor://localhost'],
  ['ionic://localhost', 'ionic://localhost'],
  ['tauri://localhost', 'tauri://localhost'],
  [
    'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
    'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
  ],
  [
    'moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc',
    'moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc',
  ],
  ['app://obsidian.md', 'app://obsidian.md'],
])('the rule %s allows %s', (rule, origin) => expect(allows(rule, origin)).toBe(true));

test.each([
  ['https://*.example.com', 'https://example.com'],
  ['https://*.example.com', 'http://a.example.com'],
  ['https://*.example.com', 'https://a.example.com.evil.example'],
  ['https://*.example.com', 'https://evil-example.com'],
  ['https://*.example.com', 'https://aXexample.com'],
  ['https://*.example.com', 'https://a.example.com:8443'],
  ['https://*.example.com', 'https://evil.example/.example.com'],
  ['https://app.example.com', 'https://app.example.com.evil.example'],
  ['capacitor://localhost', 'http://localhost'],
])('the rule %s does not allow %s', (rule, origin) => expect(allows(rule, origin)).toBe(false));

test.each([
  ...[
    '*',
    'null',
    'app.example.com',
    '*.example.com',
    'https://*',
    'https://*.com',
    'https://a.*.example.com',
  ],
  ...[
    'https://app.example.com/',
    'https://app.example.com/x',
    'https://user@app.example.com',
    'http://localhost:*',
  ],
  ...['file:///home', 'file://', 'https://', 'capacitor://localhost/', 'javascript:alert(1)', ''],
])('%j is not a rule', (text) => expect(parseOriginRule(text)).toBeNull());

test('without rules, every origin is allowed', () =>
  expect(isOriginAllowed('https://a.example', null)).toBe(true));
