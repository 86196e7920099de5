/** A change of the running balancer: asked for, under way, refused with the agent's own words. */
import { useSignal } from '@preact/signals';
import type { Changed } from '../../wire/api.ts';
import { ApiTrouble } from '../live/api.ts';
import { session } from '../live/store.ts';
import { accept } from './store.ts';

/** Whether this page may change anything. */
export const mayWrite = (): boolean => session.value?.writes === true;

export interface Action {
  readonly busy: boolean;
  /** Why the last attempt failed; empty where it did not. */
  readonly refusal: string;
  readonly run: (change: () => Promise<Changed>) => Promise<boolean>;
}

export const useAction = (): Action => {
  const busy = useSignal(false);
  const refusal = useSignal('');
  return {
    busy: busy.value,
    refusal: refusal.value,
    run: async (change) => {
      if (busy.value) return false;
      busy.value = true;
      refusal.value = '';
      try {
        accept((await change()).state);
        return true;
      } catch (error) {
        refusal.value = error instanceof ApiTrouble ? [error.message, error.hint].filter((w) => w !== '').join('. ') : String(error);
        return false;
      } finally {
        busy.value = false;
      }
    },
  };
};

export const Refusal = ({ of }: { readonly of: Action }) => (
  <p class={of.refusal === '' ? 'unseen' : 'refusal'} role="status">
    {of.refusal}
  </p>
);
