/** A service's certificate and key, from PEM files. */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import { PlimsollError } from '../../core/errors.ts';
import type { Certificate } from './listener.ts';

/** Throws file_not_found for a file that cannot be read, bad_certificate for two that no TLS can be spoken with. */
export const readCertificate = (tls: { readonly cert: string; readonly key: string }): Certificate => {
  const read = (path: string): Buffer => {
    try {
      return readFileSync(path);
    } catch (cause) {
      throw new PlimsollError('file_not_found', { path, reason: (cause as NodeJS.ErrnoException).code ?? String(cause) }, { cause });
    }
  };
  const certificate = { cert: read(tls.cert), key: read(tls.key) };
  try {
    createSecureContext(certificate);
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
    throw new PlimsollError('bad_certificate', { cert: tls.cert, key: tls.key, reason }, { cause });
  }
  return certificate;
};
