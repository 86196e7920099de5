/** The repository's folder, from wherever this is run: as it is, or bundled into build/ by a script. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const above = (folder: string): string => (existsSync(join(folder, 'package.json')) ? folder : above(dirname(folder)));

export const root = above(dirname(fileURLToPath(import.meta.url)));
