import { CALLBACK, type ClientRequest, SOURCE_IMAGE } from './client-request.js';

/**
 * Requests to `/flux/images`, as the public sources of these clients build them in 2026. The prompts are ours. `NDJSON` is the
 * `accept` header with which some clients ask for a stream of JSON lines.
 */

const prompt = 'a white siamese cat';
const image_url = SOURCE_IMAGE;
const callback_url = CALLBACK;
const NDJSON = { accept: 'application/x-ndjson' };

/** The SDKs: github.com/AceDataCloud/SDK, in Python, TypeScript and Go. */
const SDK = toRequests([
  ['Python SDK, flux.generate', { size: '1024x1024', action: 'generate', prompt, async: true }],
  [
    'Python SDK, flux.generate with a model and a count',
    { size: '1024x1024', action: 'generate', prompt, count: 2, model: 'flux-dev', async: true },
  ],
  [
    'Python SDK, flux.generate with a count that is a float',
    `{"size": "1024x1024", "action": "generate", "prompt": "${prompt}", "count": 1.0, "model": "flux-pro", "async": true}`,
  ],
  [
    'Python SDK before September, whose size is 1024x1024 whatever the model',
    { action: 'generate', prompt, size: '1024x1024', model: 'flux-kontext-pro', async: true },
  ],
  [
    'Python SDK, flux-2-pro in pixels',
    { size: '1024x1024', action: 'generate', prompt, model: 'flux-2-pro', async: true },
  ],
  [
    'Python SDK, flux-2-max in a ratio',
    { size: '16:9', action: 'generate', prompt, model: 'flux-2-max', async: true },
  ],
  [
    'Python SDK, flux-2-klein in a ratio',
    { size: '1:1', action: 'generate', prompt, model: 'flux-2-klein', async: true },
  ],
  [
    'Python SDK, an edit',
    { size: '1:1', action: 'edit', prompt, model: 'flux-kontext-max', image_url, async: true },
  ],
  [
    'Python SDK, an edit in pixels',
    { size: '1024x1024', action: 'edit', prompt, model: 'flux-kontext-pro', image_url, async: true },
  ],
  [
    'Python SDK, an edit with flux-2',
    { size: '1:1', action: 'edit', prompt, model: 'flux-2-pro', image_url, async: true },
  ],
  ['Python SDK, async_=False', { size: '1024x1024', action: 'generate', prompt, async: false }],
  [
    'Python SDK, with a callback',
    { size: '1024x1024', action: 'generate', prompt, callback_url, async: true },
  ],
  ['TypeScript SDK, flux.generate', { size: '1:1', action: 'generate', prompt, async: true }],
  [
    'TypeScript SDK, flux.generate with another option',
    { size: '1024x1024', action: 'generate', prompt, model: 'flux-dev', negativePrompt: 'blur', async: true },
  ],
  ['Go SDK, Flux.Generate without a size', { size: '', action: 'generate', prompt, async: true }],
  ['Go SDK, Flux.Generate with a prompt alone', { size: '', action: '', prompt, async: true }],
  [
    'Go SDK, Flux.Generate with Extra',
    { size: '1024x1024', action: 'generate', prompt, async: true, seed: 7 },
  ],
  ['TypeScript SDK, images.generate with a prompt alone', { prompt }],
  [
    'TypeScript SDK, images.generate with size and count',
    { prompt, action: 'generate', size: '1024x1024', count: 2 },
  ],
  [
    'Python SDK, images.generate with the options of other providers',
    { prompt, model: 'flux-dev', negative_prompt: 'blur', count: 1, aspect_ratio: '16:9', resolution: '1K' },
  ],
  [
    'Python SDK, images.generate with an image',
    { prompt, action: 'edit', model: 'flux-kontext-pro', image_url, image_urls: [image_url] },
  ],
]);

/** MCP server, command line tools and skills: AceDataCloud/MCPs, FluxCli, Clis and Skills. */
const TOOLS = toRequests([
  ['MCP flux_generate_image before August', { action: 'generate', prompt, model: 'flux-dev', callback_url }],
  [
    'MCP flux_generate_image',
    { action: 'generate', prompt, model: 'flux-dev', size: '1024x1024', callback_url },
  ],
  [
    'MCP flux_generate_image with flux-2',
    { action: 'generate', prompt, model: 'flux-2-flex', size: '16:9', callback_url },
  ],
  [
    'MCP flux_generate_image with a count',
    { action: 'generate', prompt, model: 'flux-kontext-pro', size: '9:16', count: 2, callback_url },
  ],
  [
    'MCP flux_edit_image',
    { action: 'edit', prompt, image_url, model: 'flux-kontext-pro', size: '1:1', callback_url },
  ],
  [
    'MCP flux_edit_image with flux-2',
    { action: 'edit', prompt, image_url, model: 'flux-2-flex', size: '4:3', callback_url },
  ],
  ['flux CLI, generate', { action: 'generate', prompt, model: 'flux-dev' }],
  [
    'flux CLI, generate -m flux-2-max -s 16:9',
    { action: 'generate', prompt, model: 'flux-2-max', size: '16:9' },
  ],
  ['flux CLI, generate -s 1024x768', { action: 'generate', prompt, model: 'flux-dev', size: '1024x768' }],
  [
    'flux CLI, generate -n 3, which is a float',
    `{"action": "generate", "prompt": "${prompt}", "model": "flux-dev", "count": 3.0, "async": true}`,
  ],
  ['flux CLI, edit', { action: 'edit', prompt, image_url, model: 'flux-kontext-pro' }],
  [
    'flux CLI, edit -m flux-kontext-max',
    { action: 'edit', prompt, image_url, model: 'flux-kontext-max', async: true },
  ],
  ['adc CLI, image', { action: 'generate', prompt, model: 'flux-dev', callback_url }],
  [
    'adc CLI, image -m flux-pro-1.1-ultra -s 16:9',
    { action: 'generate', prompt, model: 'flux-pro-1.1-ultra', size: '16:9', callback_url },
  ],
  [
    'adc CLI, image --image-url',
    { action: 'edit', prompt, model: 'flux-kontext-pro', image_url, callback_url },
  ],
  ['flux-image skill, quick start', { action: 'generate', prompt, model: 'flux-dev', callback_url }],
  [
    'flux-image skill, flux-2-pro',
    { prompt, action: 'generate', model: 'flux-2-pro', size: '1024x1024', count: 1 },
  ],
  [
    'flux-image skill, 1344x768',
    { prompt, action: 'generate', model: 'flux-dev', size: '1344x768', async: true },
  ],
  [
    'flux-image skill, 576x1024',
    { prompt, action: 'generate', model: 'flux-2-klein', size: '576x1024', async: true },
  ],
  ['flux-image skill, an edit', { prompt, action: 'edit', image_url, model: 'flux-kontext-pro' }],
  ['capability-spotlight-video skill, a vertical image', { model: 'flux-2-pro', prompt, size: '9:16' }],
]);

/** Nodes, plugins, playgrounds and guides: FluxN8N, Dify, Nexior, Langflow, the Coze plugin, X402Client and FluxAPI. */
const PLATFORMS = toRequests([
  ['n8n node', { action: 'generate', model: 'flux-dev', prompt, size: '1024x1024', async: true, count: 1 }],
  [
    'n8n node, flux-2',
    { action: 'generate', model: 'flux-2-pro', prompt, size: '1:1', async: true, count: 1 },
  ],
  [
    'n8n node, flux-dev in a ratio',
    { action: 'generate', model: 'flux-dev', prompt, size: '16:9', async: true, count: 1 },
  ],
  [
    'n8n node, an edit',
    { action: 'edit', model: 'flux-kontext-pro', prompt, size: '1:1', async: true, image_url },
  ],
  ['Dify plugin', { action: 'generate', prompt, model: 'flux-pro' }],
  [
    'Dify plugin, with every input',
    { action: 'generate', prompt, model: 'flux-dev', size: '1024x1024', count: 2, async: true },
  ],
  [
    'Dify plugin, an edit with a size',
    { action: 'edit', prompt, image_url, model: 'flux-kontext-max', size: '3:2', async: true },
  ],
  ['Langflow component', { action: 'generate', prompt, model: 'flux-dev', size: '1024x1024', count: 1 }],
  ['Coze plugin', { action: 'generate', prompt, model: 'flux-2-pro', size: '1:1', count: 1, async: true }],
  ['X402 client, README', { model: 'flux-dev', prompt }],
  ['guide, curl', { action: 'generate', prompt, model: 'flux-kontext-pro', count: 2 }],
  ['guide, an edit in Python', { action: 'edits', prompt, model: 'flux-kontext-pro', image_url }],
  ['guide of 2025, curl', { action: 'generate', size: '1024x1024', prompt }],
  ['guide, a callback', { action: 'generate', prompt, model: 'flux-kontext-pro', count: 2, callback_url }],
  ['Vercel function with a fallback', { model: 'flux-dev', prompt, size: '1024x1024' }],
  ['Vercel function that polls', { action: 'generate', prompt, size: '1024x1024', model: 'flux-dev' }],
  ['Next.js service', { action: 'generate', prompt, model: 'flux-kontext-pro', count: 1 }],
  ['Next.js service, an edit', { action: 'edits', prompt, image_url, model: 'flux-kontext-pro' }],
  ['Express proxy with flux-2', { action: 'generate', prompt, model: 'flux-2-pro', size: '16:9', count: 1 }],
]);

export const IMAGE_REQUESTS: ClientRequest[] = [
  ...SDK,
  ...TOOLS,
  ...PLATFORMS,
  {
    client: 'Nexior playground',
    headers: NDJSON,
    body: { action: 'generate', prompt, model: 'flux-dev', size: '1:1', count: 1, async: true },
  },
  {
    client: 'Nexior playground, an edit',
    headers: NDJSON,
    body: {
      action: 'edits',
      prompt,
      model: 'flux-kontext-pro',
      size: '16:9',
      image_url,
      count: 1,
      async: true,
    },
  },
  {
    client: 'Nexior playground of 2025, with an empty image',
    headers: NDJSON,
    body: { action: 'generate', prompt, model: 'flux-pro', size: '', image_url: '', count: 1, callback_url },
  },
  {
    client: 'flux CLI, generate --async --accept application/x-ndjson',
    headers: NDJSON,
    body: { action: 'generate', prompt, model: 'flux-dev', async: true },
  },
  {
    client: 'Dify plugin, an edit without a model',
    body: { action: 'edit', prompt, image_url, async: true },
    refusedUpstream: true,
  },
  {
    client: 'n8n node, flux-dev in 1792x1024',
    body: { action: 'generate', model: 'flux-dev', prompt, size: '1792x1024', async: true, count: 1 },
    refusedUpstream: true,
  },
];

function toRequests(rows: [client: string, body: object | string][]): ClientRequest[] {
  return rows.map(([client, body]) => ({ client, body }));
}
