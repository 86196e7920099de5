/** A configuration file as a tree that knows where each part stands, whatever it is written in. */
import type { Position } from './mistake.ts';

export type Given = GivenScalar | GivenList | GivenMap;
export interface GivenScalar extends Position {
  readonly kind: 'scalar';
  /** null for an empty value or `~`. */
  readonly value: string | number | boolean | null;
  /** As it stands in the file, without quotes. */
  readonly text: string;
}
export interface GivenList extends Position {
  readonly kind: 'list';
  readonly items: readonly Given[];
}
export interface GivenMap extends Position {
  readonly kind: 'map';
  readonly entries: readonly { readonly key: string; readonly at: Position; readonly value: Given }[];
}
