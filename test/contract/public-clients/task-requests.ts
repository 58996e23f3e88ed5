import { type ClientRequest, TASK_ID } from './client-request.js';

/** Requests to `/flux/tasks` for one task, as the public sources of these clients build them in 2026. */
export const ONE_TASK_REQUESTS: ClientRequest[] = [
  { client: 'Python SDK, TaskHandle.get', body: { id: TASK_ID, action: 'retrieve' } },
  { client: 'TypeScript SDK, tasks.get', body: { id: TASK_ID, action: 'retrieve' } },
  { client: 'Go SDK, TasksResource.Get', body: { action: 'retrieve', id: TASK_ID } },
  { client: 'MCP flux_get_task', body: { id: TASK_ID, action: 'retrieve' } },
  { client: 'n8n node, Get', body: { action: 'retrieve', id: TASK_ID } },
  {
    client: 'Nexior playground, task',
    headers: { 'x-record-exempt': 'true' },
    body: { action: 'retrieve', id: TASK_ID },
  },
  { client: 'flux-image skill, which leaves the action out', body: { id: TASK_ID } },
  { client: 'a form with empty inputs', body: { id: TASK_ID, action: '', ids: '' } },
];

/** Requests to `/flux/tasks` for several tasks. */
export const SEVERAL_TASKS_REQUESTS: ClientRequest[] = [
  { client: 'MCP flux_get_tasks_batch', body: { ids: [TASK_ID], action: 'retrieve_batch' } },
  { client: 'flux CLI, tasks', body: { ids: [TASK_ID, 't-2'], action: 'retrieve_batch' } },
  { client: 'n8n node, Get Many', body: { action: 'retrieve_batch', ids: [TASK_ID, 'b'] } },
  { client: 'flux-image skill', body: { ids: [TASK_ID], action: 'retrieve_batch' } },
  { client: 'Nexior playground, the latest tasks', body: { action: 'retrieve_batch', limit: 5 } },
  {
    client: 'Nexior playground, a page by offset',
    body: {
      action: 'retrieve_batch',
      limit: 10,
      offset: 0,
      type: 'images',
      user_id: 'u',
      application_id: 'a',
    },
  },
  {
    client: 'Nexior playground, the tasks before a time',
    body: { action: 'retrieve_batch', limit: 5, created_at_max: 4_000_000_000.779 },
  },
  {
    client: 'Nexior playground, the tasks after a time',
    body: { action: 'retrieve_batch', limit: 5, created_at_min: 1_736_304_669.779 },
  },
  {
    client: 'a form that sends numbers as text',
    body: { action: 'retrieve_batch', limit: '5', offset: '0', created_at_min: '1736304669.779', ids: '' },
  },
];

/** The request with which the n8n node tests its credential. */
export const NO_TASKS_REQUEST: ClientRequest = {
  client: 'n8n node, credential test',
  body: { action: 'retrieve_batch', ids: [] },
};
