// `npm start`: from a fresh clone to the main job on this host.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { buildIfStale, installDependencies, root } from './prepare.mjs';

installDependencies();
await buildIfStale();
const args = process.argv.slice(2);
const { status, signal } = spawnSync(process.execPath, [join(root, 'dist/plimsoll.cjs'), ...(args.length > 0 ? args : ['doctor'])], {
  stdio: 'inherit',
});
// The doctor's 0-3 are its verdict on the host, not a failure of `npm start`.
process.exitCode = signal ? 130 : args.length === 0 && status <= 3 ? 0 : status;
