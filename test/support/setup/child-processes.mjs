/** Lets the child processes that our code starts with its own arguments run TypeScript, as this one does. */
process.execArgv.push('--import', new URL('./typescript.mjs', import.meta.url).href);
