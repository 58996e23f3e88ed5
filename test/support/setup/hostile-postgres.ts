/**
 * The configuration of a PostgreSQL that an operator already has, for a whole run: TEST_POSTGRES=hostile. Each setting is legal
 * and met in practice, and none may change what Darkroom does, because its connections set what they rely on.
 */
export const HOSTILE_SETTINGS: readonly string[] = [
  "timezone = 'Asia/Karachi'",
  "datestyle = 'SQL, DMY'",
  "intervalstyle = 'sql_standard'",
  "bytea_output = 'escape'",
  'extra_float_digits = -3',
  'standard_conforming_strings = off',
  'escape_string_warning = off',
  "client_encoding = 'LATIN1'",
  // Tests use it too, so it leads to our tables. test/db/postgres/session-settings.test.ts has one that does not.
  "search_path = 'nowhere', public, pg_catalog",
  "default_transaction_isolation = 'serializable'",
  'row_security = off',
  'transform_null_equals = on',
  "default_text_search_config = 'pg_catalog.turkish'",
  "work_mem = '64kB'",
];

/** In Turkish, i and I are different letters. The embedded server has the collations of ICU, but none of the system. */
export const FOREIGN_LOCALE = "locale_provider icu icu_locale 'tr-TR'";

/** Whether this run uses that configuration. */
export function isHostile(): boolean {
  return process.env['TEST_POSTGRES'] === 'hostile';
}
