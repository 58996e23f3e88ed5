import { type TestApp } from '../app/test-app.js';

/** Forgets what the upstream has refused, as if enough time had passed. Tasks that wait for their retry time still do. */
export async function resumeSubmissions(app: TestApp): Promise<void> {
  await app.rows(
    `WITH head AS (UPDATE scheduler_head SET next_submission_at = NULL)
     UPDATE submission_pace SET kind = NULL, rate = NULL, failure = NULL, paused_until = NULL`,
  );
}

/** The same, and makes every waiting task and its job due. One statement, so that no job is due before its task. */
export async function resumeTasks(app: TestApp): Promise<void> {
  await resumeSubmissions(app);
  await app.rows(
    `WITH due AS (UPDATE tasks SET not_before = now() WHERE not_before > now())
     UPDATE graphile_worker._private_jobs SET run_at = now() WHERE run_at > now() AND flags ? 'upstream'`,
  );
}
