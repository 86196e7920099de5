/**
 * Where settings come from at boot: sysctl.d(5). Files of one name hide each other (/etc before /run before /usr/local/lib before
 * /usr/lib); those that are left are read in the order of their names, whatever their folder; the last assignment wins, but one by
 * pattern yields to one by name. procps' `sysctl --system` reads /etc/sysctl.conf after all of them; systemd reads it only through
 * a link such as Debian's 99-sysctl.conf.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { normalised } from './runtime.ts';

/** In the order of precedence between files of one name. */
const FOLDERS = ['/etc/sysctl.d', '/run/sysctl.d', '/usr/local/lib/sysctl.d', '/usr/lib/sysctl.d', '/lib/sysctl.d'] as const;

export interface Assignment {
  readonly file: string;
  readonly line: number;
  readonly value: string;
}

/** What the files say about one setting. */
export interface Provenance {
  /** The assignment that counts at boot; null where no file sets it. */
  readonly wins: Assignment | null;
  /** The others that say something else, in the order in which they are read. */
  readonly contradicted: readonly Assignment[];
  /** An assignment in /etc/sysctl.conf that systemd does not read but `sysctl --system` obeys last; null if there is none. */
  readonly onlyProcps: Assignment | null;
}

interface Line extends Assignment {
  readonly key: string;
  readonly pattern: RegExp | null;
}

/** `net/ipv4/x` and `net.ipv4.x` are one name; the first separator decides which of the two it is (sysctl.d(5)). */
const dotted = (key: string): string => {
  const slash = key.indexOf('/');
  const dot = key.indexOf('.');
  if (slash < 0 || (dot >= 0 && dot < slash)) return key;
  return key.replace(/[/.]/g, (c) => (c === '/' ? '.' : '/'));
};

/** A key with wildcards as an expression; null for one without, or with brackets that do not close. */
const patternOf = (key: string): RegExp | null => {
  if (!/[*?[]/.test(key)) return null;
  const body = key
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replaceAll('*', '[^.]*')
    .replaceAll('?', '[^.]')
    .replaceAll('[!', '[^');
  try {
    return new RegExp(`^${body}$`);
  } catch {
    return null;
  }
};

const parse = (file: string, text: string): Line[] =>
  text.split('\n').flatMap((raw, i): Line[] => {
    const line = raw.trim();
    if (line === '' || line.startsWith('#') || line.startsWith(';')) return [];
    const equals = line.indexOf('=');
    if (equals < 0) return [];
    // A leading minus: failures of this line are ignored.
    const key = dotted(line.slice(0, equals).trim().replace(/^-/, ''));
    return [{ file, line: i + 1, value: normalised(line.slice(equals + 1)), key, pattern: patternOf(key) }];
  });

const read = (path: string): string | null => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
};

/** Every assignment under `root` (empty for the running host), ready to be asked. */
export class SysctlFiles {
  private readonly lines: readonly Line[];
  private readonly procps: readonly Line[];

  constructor(root = '') {
    const chosen = new Map<string, string>();
    const seen = new Set<string>();
    for (const folder of FOLDERS) {
      const path = `${root}${folder}`;
      let real: string;
      let names: string[];
      try {
        real = realpathSync(path);
        names = readdirSync(path);
      } catch {
        continue;
      }
      // /lib is a link to /usr/lib on merged systems.
      if (seen.has(real)) continue;
      seen.add(real);
      for (const name of names) {
        if (!name.endsWith('.conf')) continue;
        // Of one name, the folder with precedence hides the others.
        if (!chosen.has(name)) chosen.set(name, `${folder}/${name}`);
      }
    }
    const main = '/etc/sysctl.conf';
    const order = [...chosen].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, file]) => file);
    const linked = order.some((file) => {
      try {
        return readlinkSync(`${root}${file}`).endsWith('sysctl.conf') || realpathSync(`${root}${file}`) === realpathSync(`${root}${main}`);
      } catch {
        return false;
      }
    });
    const linesOf = (file: string): Line[] => {
      const text = read(`${root}${file}`);
      return text === null ? [] : parse(file, text);
    };
    const own = linesOf(main);
    const systemd = ['/usr/lib/systemd/systemd-sysctl', '/lib/systemd/systemd-sysctl'].some((file) => existsSync(`${root}${file}`));
    this.lines = [...order.flatMap(linesOf), ...(linked || systemd ? [] : own)];
    this.procps = linked || !systemd ? [] : own;
  }

  /** What they say about `name`. */
  about(name: string): Provenance {
    const matching = this.lines.filter((l) => (l.pattern === null ? l.key === name : l.pattern.test(name)));
    const plain = (l: Line): Assignment => ({ file: l.file, line: l.line, value: l.value });
    const wins = matching.findLast((l) => l.pattern === null) ?? matching.at(-1) ?? null;
    return {
      wins: wins === null ? null : plain(wins),
      contradicted: matching.filter((l) => l !== wins && l.value !== wins?.value).map(plain),
      onlyProcps:
        this.procps
          .filter((l) => l.key === name)
          .map(plain)
          .at(-1) ?? null,
    };
  }
}
