/** A remedy: something that changes a finding, with its effect in numbers on that port space, and its risk. Data only. */
import type { RemedyCode } from './codes.ts';
import type { Effect } from './effect.ts';

export type Risk = 'none' | 'low' | 'medium' | 'high';

export interface SettingChange {
  readonly name: string;
  readonly from: string;
  readonly to: string;
}

export interface Remedy {
  readonly code: RemedyCode;
  /** The subject of the findings it answers. */
  readonly subject: string;
  readonly title: string;
  readonly text: string;
  /** Null where no number can be promised. */
  readonly effect: Effect | null;
  readonly risk: Risk;
  readonly reversible: boolean;
  /** Lines to run, as root. */
  readonly commands: readonly string[];
  readonly settings: readonly SettingChange[];
  /** Lines for the configuration of the product that holds the ports. */
  readonly snippets: readonly { readonly product: string; readonly text: string }[];
}
