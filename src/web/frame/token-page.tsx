/** Shown where the agent answers nobody without a token, or this one was wrong. */
import { useSignal } from '@preact/signals';
import { beginAnew } from '../live/store.ts';
import { forgetToken, keepToken, token } from '../live/token.ts';
import { Mark } from '../look/mark.tsx';

export const TokenPage = () => {
  const value = useSignal('');
  const refused = token() !== null;
  return (
    <section class="token-page" aria-labelledby="token">
      <Mark size={88} level={null} />
      <h1 id="token">{refused ? 'That token is not the agent’s' : 'This agent wants its token'}</h1>
      <p>
        <code>plimsoll serve</code> prints an address with the token in it when it starts: open that one, or put the token here. It stays in
        this tab.
        {refused ? ' An agent that was started anew has another one, unless it was given a token file.' : ''}
      </p>
      <form
        class="row"
        onSubmit={(e) => {
          e.preventDefault();
          const given = value.value.trim().replace(/^.*#token=/, '');
          if (given === '') return;
          keepToken(given);
          beginAnew();
        }}
      >
        <label class="field">
          <span class="unseen">Token</span>
          <input
            type="password"
            autocomplete="off"
            spellcheck={false}
            placeholder="Token"
            value={value.value}
            onInput={(e) => {
              value.value = e.currentTarget.value;
            }}
          />
        </label>
        <button type="submit" class="button primary" disabled={value.value.trim() === ''}>
          Open
        </button>
      </form>
      {refused && (
        <button
          type="button"
          class="button"
          onClick={() => {
            forgetToken();
            beginAnew();
          }}
        >
          Go on without a token
        </button>
      )}
    </section>
  );
};
