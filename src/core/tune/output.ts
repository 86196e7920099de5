/** The settings to change as text: a drop-in for sysctl.d(5), Ansible tasks, a pod's security context, and a diff. */

/** A setting to make so, with the reason that goes beside it. */
export interface Wanted {
  readonly name: string;
  readonly value: string;
  readonly why: string;
}

const HEAD = '# Written by plimsoll tune. plimsoll tune --rollback restores what was there before.';

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

/** `name = value` lines of a drop-in that this module wrote, each with the comment above it. */
const parseDropIn = (text: string): readonly Wanted[] => {
  let comment = '';
  return text.split('\n').flatMap((line): Wanted[] => {
    if (line.startsWith('#')) {
      comment = line.replace(/^#\s*/, '');
      return [];
    }
    const match = /^([\w.-]+) = (.*)$/.exec(line);
    const why = comment;
    comment = '';
    return match === null ? [] : [{ name: match[1]!, value: match[2]!, why }];
  });
};

/** The drop-in after `changes`: what an earlier one sets stays, unless it is set anew. */
export const dropInText = (existing: string | null, changes: readonly Wanted[]): string => {
  const kept = existing === null ? [] : parseDropIn(existing).filter((w) => !changes.some((c) => c.name === w.name));
  const entries = [...kept, ...changes].map((w) => `# ${oneLine(w.why)}\n${w.name} = ${w.value}`);
  return `${[HEAD, ...entries].join('\n\n')}\n`;
};

const quoted = (text: string): string => `"${text.replace(/[\\"]/g, '\\$&')}"`;

/** Tasks for ansible.posix.sysctl. */
export const ansibleText = (changes: readonly Wanted[], file: string): string =>
  changes
    .map((c) =>
      [
        `- name: ${quoted(`${c.name} = ${c.value}`)}`,
        `  # ${oneLine(c.why)}`,
        '  ansible.posix.sysctl:',
        `    name: ${c.name}`,
        `    value: ${quoted(c.value)}`,
        `    sysctl_file: ${file}`,
        '    sysctl_set: true',
        '    state: present',
        '    reload: true',
      ].join('\n'),
    )
    .join('\n')
    .concat(changes.length > 0 ? '\n' : '');

/** Sysctls that a kubelet lets any pod set (Kubernetes: "safe"); all others need --allowed-unsafe-sysctls on the node. */
const SAFE_IN_PODS = new Set([
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_fin_timeout',
]);

/** A pod's securityContext. */
export const podText = (changes: readonly Wanted[]): string => {
  if (changes.length === 0) return '';
  const entries = changes.flatMap((c) => [
    `    # ${oneLine(c.why)}`,
    ...(SAFE_IN_PODS.has(c.name)
      ? []
      : [`    # Not among the safe sysctls: the node's kubelet must allow it (--allowed-unsafe-sysctls=${c.name}).`]),
    `    - name: ${c.name}`,
    `      value: ${quoted(c.value)}`,
  ]);
  return ['spec:', '  securityContext:', '    sysctls:', ...entries].join('\n').concat('\n');
};

/** Lines that differ, as `diff -u` would mark them; entries of a drop-in are few, so all of both sides are shown. */
export const diffText = (path: string, before: string | null, after: string): string => {
  const old = before === null ? [] : before.trimEnd().split('\n');
  const now = after.trimEnd().split('\n');
  const lines = [
    `--- ${before === null ? '/dev/null' : path}`,
    `+++ ${path}`,
    ...old.filter((line) => line !== '' && !now.includes(line)).map((line) => `-${line}`),
    ...now.filter((line) => line !== '').map((line) => `${old.includes(line) ? ' ' : '+'}${line}`),
  ];
  return `${lines.join('\n')}\n`;
};
