/** Errors as HTTP answers them: the catalogue's code, title and hint as application/problem+json (RFC 9457). */
import { type ErrorCode, PlimsollError } from '../../core/errors.ts';
import type { Problem } from '../../wire/api.ts';

/** Status of the codes that are raised for HTTP; the others go by their exit code. */
const statusOf: Partial<Record<ErrorCode, number>> = {
  http_bad_request: 400,
  http_bad_value: 400,
  http_bad_json: 400,
  http_token_missing: 401,
  http_token_wrong: 401,
  http_origin: 403,
  http_write_header: 403,
  http_not_found: 404,
  space_not_found: 404,
  not_configured: 404,
  http_method: 405,
  http_timeout: 408,
  http_too_large: 413,
  http_media_type: 415,
  http_host: 421,
  http_too_many: 429,
  http_headers_too_large: 431,
  agent_starting: 503,
  http_readers_full: 503,
  not_running: 503,
  not_settable: 409,
  control_denied: 403,
};

const byExit: Readonly<Record<number, number>> = { 64: 400, 65: 400, 66: 404, 69: 503, 77: 403, 78: 409 };

/** The catalogue's error; anything else is our own bug, and its words stay here. */
export const asPlimsollError = (error: unknown): PlimsollError =>
  error instanceof PlimsollError
    ? error
    : new PlimsollError('internal', { reason: error instanceof Error ? error.message : String(error) }, { cause: error });

/** What `error` is answered with. Facts of our own bugs are not told to strangers. */
export const problemOf = (error: PlimsollError): Problem => {
  const status = statusOf[error.code] ?? byExit[error.exit] ?? 500;
  const ours = error.code === 'internal';
  return {
    type: 'about:blank',
    status,
    code: error.code,
    title: ours ? 'something in plimsoll broke; the agent’s log says what' : error.message,
    hint: error.hint,
  };
};
