/** nginx as an administrator would run it in front of the scenario's servers. */
import type { LabNamespace } from '../namespace.ts';
import type { Program } from '../program.ts';
import type { Stage } from '../stage.ts';

/** Starts nginx in `ns` with `servers` (server blocks); resolves when it listens on `port`. */
export const startNginx = async (stage: Stage, ns: LabNamespace, port: number, servers: string): Promise<Program> => {
  const folder = stage.folder;
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `  ${kind}_temp_path ${folder};`).join('\n');
  const path = stage.file(
    'nginx.conf',
    `daemon off;
master_process off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
${temporary}
${servers}
}
`,
  );
  const nginx = stage.start(ns, 'nginx', 'nginx', ['-c', path, '-e', 'stderr']);
  await stage.listening(ns, port, nginx);
  return nginx;
};
