/** Mercurius with its JIT, and resolvers written by hand for exactly these reads. Environment: DATABASE_URL. */
import fastify from 'fastify';
import mercurius from 'mercurius';
import pg from 'pg';
import { listen } from './listen.mjs';

const CONNECTIONS = 16;
/** Requests of a document until it is compiled. */
const JIT_AFTER = 1;

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: CONNECTIONS });
const rowsOf = async (name, text, values) => (await pool.query({ name, text, values })).rows;

const TASK_COLUMNS = 'id, status, prompt, model, created_at AS "createdAt"';

const schema = `
  type Image { id: ID! index: Int! width: Int height: Int mimeType: String }
  type Task { id: ID! status: String! prompt: String! model: String! createdAt: String! images: [Image!]! }
  type TaskEvent { id: ID! type: String! at: String! actor: String! }
  type Query {
    task(id: ID!): Task
    tasks(first: Int!, status: String): [Task!]!
    taskEvents(first: Int!): [TaskEvent!]!
  }`;

const toTask = (row) => ({ ...row, createdAt: row.createdAt.toISOString() });

const resolvers = {
  Query: {
    task: async (_, { id }) => {
      const [row] = await rowsOf('task', `SELECT ${TASK_COLUMNS} FROM tasks WHERE id = $1`, [id]);
      return row ? toTask(row) : null;
    },
    tasks: async (_, { first, status }) => {
      const rows = status
        ? await rowsOf(
            'tasks-of-status',
            `SELECT ${TASK_COLUMNS} FROM tasks WHERE status = $2::task_status ORDER BY id DESC LIMIT $1`,
            [first, status],
          )
        : await rowsOf('tasks', `SELECT ${TASK_COLUMNS} FROM tasks ORDER BY id DESC LIMIT $1`, [first]);
      return rows.map(toTask);
    },
    taskEvents: async (_, { first }) => {
      const rows = await rowsOf(
        'events',
        'SELECT id, type, at, actor FROM task_events WHERE position > 0 ORDER BY position LIMIT $1',
        [first],
      );
      return rows.map((row) => ({ ...row, at: row.at.toISOString() }));
    },
  },
};

const loaders = {
  Task: {
    images: async (queries) => {
      const rows = await rowsOf(
        'images',
        `SELECT id, index, width, height, mime_type AS "mimeType", task_id AS "taskId"
         FROM images WHERE task_id = ANY ($1::uuid[]) ORDER BY task_id, index`,
        [queries.map(({ obj }) => obj.id)],
      );
      const byTask = Map.groupBy(rows, ({ taskId }) => taskId);
      return queries.map(({ obj }) => byTask.get(obj.id) ?? []);
    },
  },
};

const app = fastify();
app.register(mercurius, { schema, resolvers, loaders, jit: JIT_AFTER });
await app.ready();
listen(app.server);
