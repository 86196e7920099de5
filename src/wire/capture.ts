/** `plimsoll.capture/1`: what `plimsoll explain --json` prints. Fields are described in docs/reference/capture.md. */
import type { z } from 'zod';
import type { captureSchema } from './capture-schema.ts';

/** The document. Its type is that of the schema; importing it loads no zod. */
export type CaptureDocument = z.infer<typeof captureSchema>;

export const CAPTURE_SCHEMA: CaptureDocument['schema'] = 'plimsoll.capture/1';
