/** Namespaces in tests: gone when the test file ends; what needs root is skipped without it. */
import { afterAll, test } from 'vitest';
import { destroyNamespaces, privileged } from './namespace.ts';

export { linked, Namespace, type NamespaceOptions, namespace, privileged } from './namespace.ts';

/** A test that needs root; without it the test is skipped, and CI counts it as failed. */
export const kernelTest: ReturnType<typeof test.skipIf> = test.skipIf(!privileged);

afterAll(destroyNamespaces);
