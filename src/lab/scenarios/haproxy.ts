/** HAProxy as an administrator would run it in front of the scenario's servers. */
import type { LabNamespace } from '../namespace.ts';
import type { Program } from '../program.ts';
import type { Stage } from '../stage.ts';

/** Starts HAProxy in `ns` with `sections` (frontend, backend, listen) under the usual globals; resolves when it listens on `port`. */
export const startHaproxy = async (stage: Stage, ns: LabNamespace, port: number, sections: string, threads = 1): Promise<Program> => {
  const path = stage.file(
    'haproxy.cfg',
    `global
  log stdout format raw local0
  nbthread ${threads}
  maxconn 9000
  no strict-limits
defaults
  mode http
  log global
  timeout connect 3s
  timeout client 300s
  timeout server 300s
  timeout check 1s
${sections}`,
  );
  const haproxy = stage.start(ns, 'haproxy', 'haproxy', ['-db', '-f', path]);
  await stage.listening(ns, port, haproxy);
  return haproxy;
};

/** How often HAProxy has taken a server out of service. */
export const downs = (haproxy: Program): number => haproxy.count(/^Server \S+ is DOWN/);
