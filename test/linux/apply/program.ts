/** The transaction as a process of its own, so that it can be killed: `apply|rollback ROOT STATE`, in the namespace it is started in. */
import { PlimsollError } from '../../../src/core/errors.ts';
import { dropInText } from '../../../src/core/tune/output.ts';
import { type ApplyHost, applyChanges, finish, rollBack } from '../../../src/linux/apply/transaction.ts';
import { ffi } from '../../../src/linux/ffi.ts';
import { changes } from './changes.ts';

const [what, root, state] = process.argv.slice(2) as [string, string, string];
const host: ApplyHost = { c: ffi(), proc: '/proc', root, state, namespace: 'test', inside: (work) => work() };
try {
  const text = dropInText(
    null,
    changes.map((c) => ({ ...c, why: 'a test' })),
  );
  const result = what === 'apply' ? finish(applyChanges(host, changes, text, '2026-11-20T00:00:00Z')) : finish(rollBack(host));
  process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (error) {
  process.stderr.write(`${error instanceof PlimsollError ? error.code : String(error)}\n`);
  process.exitCode = error instanceof PlimsollError ? error.exit : 70;
}
