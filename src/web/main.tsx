/** The dashboard: served by `plimsoll serve`, it reads the agent's API and asks nobody else. */
import { render } from 'preact';
import { App } from './app.tsx';
import { startTheme } from './frame/theme.ts';
import './look/tokens.css';
import './look/base.css';
import './look/mark.css';
import './look/overview.css';
import './look/pages.css';
import { beginAnew, start } from './live/store.ts';
import { takeTokenFromAddress } from './live/token.ts';
import { followAddress } from './route.ts';

startTheme();
takeTokenFromAddress();
// The address of an agent that was started anew, put into the same tab.
addEventListener('hashchange', () => {
  if (takeTokenFromAddress()) beginAnew();
});
followAddress();
start();
render(<App />, document.getElementById('app')!);
