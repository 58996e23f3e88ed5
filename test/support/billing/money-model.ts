import { isFinal, type TaskStatus } from '../../../src/core/tasks/task.js';

/** A task as the model knows it. Amounts are numbers of images, which all have the same price. */
export interface ModelTask {
  id: string;
  requestedCount: number;
  status: TaskStatus;
  attempts: number;
  deliveredCount: number;
  lateCount: number;
  uncertainCount: number;
}

/** What a scope has used. */
export type Used = Record<'reserved' | 'spent' | 'uncertain', number>;

/** What money must do, in a few lines that know nothing of SQL. Each function changes a task as one step of the service must. */
export const moneyModel = {
  request(id: string, requestedCount: number): ModelTask {
    const counts = { attempts: 0, deliveredCount: 0, lateCount: 0, uncertainCount: 0 };
    return { id, requestedCount, status: 'QUEUED', ...counts };
  },

  /** Returns whether an attempt was begun. */
  send(task: ModelTask): boolean {
    if (task.status !== 'QUEUED') return false;
    task.status = 'SUBMITTING';
    task.attempts += 1;
    return true;
  },

  accept(task: ModelTask): void {
    if (task.status === 'SUBMITTING' || task.status === 'UNCONFIRMED') task.status = 'RUNNING';
  },

  /** It is unknown what became of an attempt. */
  lose(task: ModelTask, attempt: number): void {
    if (attempt === task.attempts && task.status === 'SUBMITTING') task.status = 'UNCONFIRMED';
  },

  /** The upstream certainly made nothing in this attempt. */
  refuse(task: ModelTask, attempt: number, { canRetry }: { canRetry: boolean }): void {
    if (attempt !== task.attempts) return;
    if (task.status === 'SUBMITTING' || task.status === 'UNCONFIRMED')
      task.status = canRetry ? 'QUEUED' : 'FAILED';
    else if (isFinal(task.status)) task.uncertainCount = 0;
  },

  /** A callback reports that an attempt failed. */
  reportFailure(task: ModelTask, attempt: number): void {
    if (attempt !== task.attempts || task.status === 'QUEUED') return;
    if (isFinal(task.status)) task.uncertainCount = 0;
    else task.status = 'FAILED';
  },

  /** A callback brings images, of any attempt. */
  reportImages(task: ModelTask, count: number): void {
    if (!isFinal(task.status)) {
      task.status = 'SUCCEEDED';
      task.deliveredCount = count;
      return;
    }
    const isComplete = task.status === 'SUCCEEDED' && task.deliveredCount >= task.requestedCount;
    if (isComplete) return;
    const added = count - task.deliveredCount - task.lateCount;
    if (added <= 0) return;
    task.lateCount += added;
    task.uncertainCount = 0;
  },

  /** The caller cancels the task, or its deadline passes. */
  end(task: ModelTask, status: 'CANCELED' | 'EXPIRED'): void {
    if (isFinal(task.status)) return;
    task.uncertainCount = task.status === 'QUEUED' ? 0 : task.requestedCount;
    task.status = status;
  },

  used(tasks: readonly ModelTask[]): Used {
    const used = { reserved: 0, spent: 0, uncertain: 0 };
    for (const task of tasks) {
      used.reserved += isFinal(task.status) ? 0 : task.requestedCount;
      used.spent += task.deliveredCount + task.lateCount;
      used.uncertain += task.uncertainCount;
    }
    return used;
  },
};
