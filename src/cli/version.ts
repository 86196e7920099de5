declare const PLIMSOLL_VERSION: string;
/** Set by the bundler from package.json. */
export const version = typeof PLIMSOLL_VERSION === 'string' ? PLIMSOLL_VERSION : '0.0.0-source';
