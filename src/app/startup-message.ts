import { type Config } from '../config/config.js';

interface StartupMessageOptions {
  url: string;
  firstApiKey: string | null;
  config: Config;
  /** The shell to write commands for: PowerShell on Windows, else a POSIX shell. */
  platform?: NodeJS.Platform;
}

const BODY =
  '{"query":"mutation { generateImages(input: { prompt: \\"a lighthouse at dusk\\" }) { task { id status } } }"}';

/** What the terminal shows after a start. With the first API key, a command that can be pasted to try it. */
export function startupMessage(options: StartupMessageOptions): string {
  const { url, firstApiKey, config, platform = process.platform } = options;
  const upstream = config.flux.token === null ? 'the sandbox (images cost nothing)' : config.flux.baseUrl;
  const lines = [`Darkroom is listening at ${url}/graphql`, `Upstream: ${upstream}`];
  if (firstApiKey) {
    const command = platform === 'win32' ? powerShellCommand : curlCommand;
    lines.push('', `Your first API key (shown only once): ${firstApiKey}`, 'Try it:', '');
    lines.push(...command(`${url}/graphql`, firstApiKey));
  }
  return `${lines.join('\n')}\n`;
}

function curlCommand(endpoint: string, apiKey: string): string[] {
  return [
    `curl -s ${endpoint} -H 'content-type: application/json' -H 'authorization: Bearer ${apiKey}' \\`,
    `  -d '${BODY}'`,
  ];
}

/** In Windows PowerShell, `curl` is another command, and arguments of real programs lose their double quotes. */
function powerShellCommand(endpoint: string, apiKey: string): string[] {
  return [
    `Invoke-RestMethod ${endpoint} -Method Post -ContentType 'application/json' \``,
    `  -Headers @{ authorization = 'Bearer ${apiKey}' } \``,
    `  -Body '${BODY}' | ConvertTo-Json -Depth 9`,
  ];
}
