/**
 * The floor of feature-tax.ts: Apollo Server with Express as in its documentation, a plain schema, and resolvers that only run
 * the same SQL. Arguments: `[database url, workspace id]`.
 */
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { ApolloServer } from '@apollo/server';
import { expressMiddleware } from '@as-integrations/express5';
import cors from 'cors';
import express from 'express';
import pg from 'pg';
import { bind } from '../src/db/postgres/statement.js';
import { INSERT_TASK, insertTaskParameters } from '../src/db/tasks/task-row.js';
import { helperArgs, serveCommands } from './support/helper.js';
import { newTask } from './support/new-task.js';

/** The same number as the service. */
const DATABASE_CONNECTIONS = 20;

const TYPES = `
  type Viewer { workspaceId: ID! workspaceName: String! keyName: String! scopes: [String!]! }
  type Task { id: ID! status: String! prompt: String! model: String! createdAt: String! eventCursor: String! }
  type UserError { code: String! message: String! field: [String!] }
  type GenerateImagesPayload { task: Task replayed: Boolean! userErrors: [UserError!]! }
  input GenerateImagesInput { prompt: String! }
  type Query { viewer: Viewer! }
  type Mutation { generateImages(input: GenerateImagesInput!): GenerateImagesPayload! }
`;

const [databaseUrl = '', workspaceId = ''] = helperArgs();
const pool = new pg.Pool({ connectionString: databaseUrl, max: DATABASE_CONNECTIONS });
pool.on('error', () => process.exit(1)); // the server was stopped

const resolvers = {
  Query: {
    viewer: () => ({ workspaceId, workspaceName: 'bench', keyName: 'bench', scopes: ['tasks:write'] }),
  },
  Mutation: {
    generateImages: async (_root: unknown, { input }: { input: { prompt: string } }) => {
      const parameters = insertTaskParameters({ ...newTask(workspaceId), prompt: input.prompt }, 'bench');
      const { rows } = await pool.query<Record<string, unknown>>(bind(INSERT_TASK, parameters));
      return { task: { ...rows[0], eventCursor: '' }, replayed: false, userErrors: [] };
    },
  },
};

const app = express();
const server = new ApolloServer({ typeDefs: TYPES, resolvers });
await server.start();
app.use('/graphql', cors(), express.json(), expressMiddleware(server));
const http = createServer(app).listen(0, '127.0.0.1');
serveCommands(() => Promise.resolve(`http://127.0.0.1:${(http.address() as AddressInfo).port}`));
