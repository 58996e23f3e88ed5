/** A statement that each connection prepares once, under its name. `statement` creates it. */
export interface Statement<Parameters extends object, Row extends object> {
  readonly name: string;
  /** SQL with `$1`, `$2` and so on. */
  readonly text: string;
  /** The names of `$1`, `$2` and so on. */
  readonly parameterNames: readonly string[];
  /**
   * For `Database.queryAsCaller`. `force_generic_plan`: one plan is good for all values, so the statement is planned once per
   * connection. By default PostgreSQL plans some statements at every execution, which takes longer than a lookup by IDs itself.
   */
  readonly planCacheMode: 'auto' | 'force_generic_plan';
  /** How long the caller waits for the result, if that is not the limit of the pool. */
  readonly timeoutMs: number | undefined;
  /**
   * Whether `Database.queryAsCaller` runs it in one of the few slots for slow reads. False for statements whose conditions an
   * index answers, so that they read about as many rows as they return, and for those whose service bounds them itself.
   */
  readonly needsSlot: boolean;
  /** For the type checker only. Always undefined. */
  readonly types?: (parameters: Parameters) => Row;
}

interface StatementOptions extends Partial<Pick<Statement<never, object>, 'timeoutMs' | 'needsSlot'>> {
  /** Sets `planCacheMode` to `force_generic_plan`. Default: false. */
  useGenericPlan?: boolean;
}

/** The SQL of every statement so far, by its name. Two versions can run side by side if each of the older one still plans. */
export const compiledStatements = new Map<string, string>();

/** Literals, quoted identifiers, comments and casts contain colons that name no parameter. */
const TOKENS = /'(?:[^']|'')*'|"[^"]*"|--[^\n]*|::|:([a-zA-Z]\w*)/g;

/** Compiles SQL with named parameters, such as `:taskId`. `Parameters` has their values by name, and `Row` the columns. */
export function statement<Parameters extends object, Row extends object = object>(
  name: string,
  sql: string,
  { useGenericPlan = false, timeoutMs, needsSlot = true }: StatementOptions = {},
): Statement<Parameters, Row> {
  const parameterNames: string[] = [];
  const text = sql.replace(TOKENS, (token: string, parameter: string | undefined) => {
    if (parameter === undefined) return token;
    if (!parameterNames.includes(parameter)) parameterNames.push(parameter);
    return `$${parameterNames.indexOf(parameter) + 1}`;
  });
  compiledStatements.set(name, text);
  const planCacheMode = useGenericPlan ? 'force_generic_plan' : 'auto';
  return { name, text, parameterNames, planCacheMode, timeoutMs, needsSlot };
}

const assembledStatements = new Map<string, Statement<never, object>>();

/** Compiles SQL that is assembled in a few variants. Each variant is compiled once and gets a name of its own. */
export function assembledStatement<Parameters extends object, Row extends object>(
  namePrefix: string,
  sql: string,
): Statement<Parameters, Row> {
  let compiled = assembledStatements.get(sql);
  if (!compiled) {
    compiled = statement<never>(`${namePrefix}-${assembledStatements.size}`, sql);
    assembledStatements.set(sql, compiled);
  }
  return compiled as Statement<Parameters, Row>;
}

/** A statement and its values: a query for pg. */
export interface BoundStatement {
  name: string;
  text: string;
  values: unknown[];
  query_timeout?: number;
}

/** Throws if a parameter is undefined. SQL NULL is null. */
export function bind<Parameters extends object, Row extends object>(
  { name, text, parameterNames, timeoutMs }: Statement<Parameters, Row>,
  parameters: Parameters,
): BoundStatement {
  const values = parameterNames.map((parameter) => {
    const value: unknown = parameters[parameter as keyof Parameters];
    if (value === undefined) throw new Error(`The statement ${name} needs a value for :${parameter}.`);
    return value;
  });
  return { name, text, values, ...(timeoutMs !== undefined && { query_timeout: timeoutMs }) };
}
