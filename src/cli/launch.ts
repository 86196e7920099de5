/**
 * `dist/plimsoll.cjs`, the file that is run: compiles the program beside it with the code cache that was made when it was built.
 * V8 takes the cache only if its version and flags are those of the build, and compiles as ever if they are not. It saves a
 * third of what loading takes, and the more the program grows the more.
 */
import { readFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';

const file = join(__dirname, 'program.cjs');
const read = (path: string): Buffer | undefined => {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
};
const cachedData = read(join(__dirname, 'program.cache'));
const script = new Script(Module.wrap(readFileSync(file, 'latin1')), {
  filename: file,
  ...(cachedData === undefined ? {} : { cachedData }),
});
const program = { exports: {} };
script.runInThisContext().call(program.exports, program.exports, createRequire(file), program, file, __dirname);

// The build asks for the cache: what this run has compiled is in it.
const wanted = process.env['PLIMSOLL_CODE_CACHE'];
if (wanted !== undefined) process.on('exit', () => require('node:fs').writeFileSync(wanted, script.createCachedData()));
