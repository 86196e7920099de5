import { type Ffi } from './ffi.ts';
/** The descriptor of a TCP socket listening on `address` (canonical) and `port`. Throws an ErrnoException with the call that failed. */
export declare const openListener: (c: Ffi, address: string, port: number) => number;
/** The user id at the other end of a connected unix socket; null if the kernel does not say. */
export declare const peerUser: (c: Ffi, descriptor: number) => number | null;
