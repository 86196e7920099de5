/** `plimsoll show`, from the words of its command line to its tables and documents. */
export { type ShowKind, type ShowRequest, showKinds, showRequest } from './request.ts';
export { type ShowDocument, showDocument, showTables } from './show.ts';
