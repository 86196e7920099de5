/** The lab's own servers and clients, as `plimsoll lab-peer ROLE SETTINGS` runs them. */
import { runClient } from './client.ts';
import { runServer, type ServerSettings } from './server.ts';

/** Begins to play `role`; it goes on until its input ends. False if there is no such role. */
export const play = (role: string, settings: string): boolean => {
  if (role === 'server') runServer(JSON.parse(settings) as ServerSettings);
  else if (role === 'client') runClient();
  else return false;
  return true;
};
