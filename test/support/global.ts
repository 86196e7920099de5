/** Before and after a whole run: namespaces whose maker is gone (killed, crashed, Ctrl-C) are removed. */
import { sweepNamespaces } from './namespace.ts';

export const setup = (): void => sweepNamespaces();
export const teardown = (): void => sweepNamespaces();
