// `npm start`: from a fresh clone to the main job on this host: the agent with its dashboard, the doctor's verdict in the terminal.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { buildIfStale, installDependencies, root } from './prepare.mjs';

installDependencies();
await buildIfStale();

/** Runs plimsoll to its end. Ctrl-C reaches it by itself, for it is of our process group; other signals are handed on. */
const plimsoll = (args) =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, 'dist/plimsoll.cjs'), ...args], { stdio: 'inherit' });
    const handOn = (signal) => child.kill(signal);
    const wait = () => {};
    process.on('SIGTERM', handOn).on('SIGHUP', handOn).on('SIGINT', wait);
    child.on('close', (status, signal) => {
      process.off('SIGTERM', handOn).off('SIGHUP', handOn).off('SIGINT', wait);
      resolve(signal ? 130 : status);
    });
  });

const args = process.argv.slice(2);
const UNAVAILABLE = 69;
let status = await plimsoll(args.length > 0 ? args : ['serve', '--doctor']);
// An agent runs already (it has said so): the verdict is still what was asked for, and 0-3 are about the host, not a failure.
if (args.length === 0 && status === UNAVAILABLE) status = (await plimsoll(['doctor'])) <= 3 ? 0 : status;
process.exitCode = status;
