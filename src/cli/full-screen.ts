/**
 * A terminal taken whole: alternate screen, no cursor, keys as they are pressed. However the process ends or is stopped, the
 * terminal is given back as it was: by close(), at exit, before the trace of a crash, on SIGHUP and SIGQUIT, and around a stop
 * by SIGTSTP. (SIGINT and SIGTERM end a command through Shell.interrupted, and it closes.)
 */
import { StringDecoder } from 'node:string_decoder';

export interface ScreenListener {
  /** What was typed, as the terminal sends it. */
  input(text: string): void;
  /** The size changed, or the screen has to be drawn anew after a stop. */
  renewed(): void;
  /** The terminal is gone. */
  ended(): void;
}

export interface FullScreen {
  readonly columns: number;
  readonly rows: number;
  write(text: string): void;
  /** Stops this job as Ctrl-Z does; where no shell could continue it, nothing happens. */
  suspend(): void;
  /** What Ctrl-C does. */
  interrupt(): void;
  /** Gives the terminal back. May be called again. */
  close(): void;
}

/** Alternate screen with the cursor saved, cursor hidden, no wrapping at the right edge; xterm's and everybody's. */
const ENTER = '\u001b[?1049h\u001b[?25l\u001b[?7l';
const LEAVE = '\u001b[m\u001b[?7h\u001b[?25h\u001b[?1049l';

/** Milliseconds after which a stop that has not happened will not: the kernel ignores SIGTSTP where no shell waits (POSIX). */
const STOP_PATIENCE = 100;

/** Ends without us: they are raised again once the terminal is as it was. */
const fatal = ['SIGHUP', 'SIGQUIT'] as const;

/** Takes the terminal behind the process' stdin and stdout. */
export const openFullScreen = (listener: ScreenListener): FullScreen => {
  const { stdin, stdout } = process;
  const decoder = new StringDecoder('utf8');
  let shown = false;
  let open = true;

  const show = (): void => {
    if (shown || !open) return;
    shown = true;
    // Whoever had the terminal meanwhile may have changed its modes: set, not assumed.
    stdin.setRawMode(false);
    stdin.setRawMode(true);
    stdout.write(ENTER);
  };
  const hide = (): void => {
    if (!shown) return;
    shown = false;
    stdout.write(LEAVE);
    stdin.setRawMode(false);
  };

  const resume = (): void => {
    process.on('SIGTSTP', onStop);
    show();
    listener.renewed();
  };
  /** `pid` 0 is the whole job, as the terminal's own Ctrl-Z. */
  const stop = (pid: number): void => {
    hide();
    process.removeListener('SIGTSTP', onStop);
    process.kill(pid, 'SIGTSTP');
    setTimeout(() => {
      if (!shown && open) resume();
    }, STOP_PATIENCE);
  };
  const onStop = (): void => stop(process.pid);
  const onContinue = (): void => {
    // Also after a SIGSTOP that nobody could see: the screen is whoever's had it meanwhile.
    hide();
    process.removeListener('SIGTSTP', onStop);
    resume();
  };
  const onFatal = (signal: NodeJS.Signals): void => {
    close();
    process.kill(process.pid, signal);
  };
  const onData = (bytes: Buffer): void => listener.input(decoder.write(bytes));
  const onResize = (): void => listener.renewed();
  const onEnd = (): void => listener.ended();

  const close = (): void => {
    if (!open) return;
    open = false;
    hide();
    stdin.off('data', onData).off('end', onEnd).off('error', onEnd);
    stdin.pause();
    stdout.off('resize', onResize);
    process.off('SIGTSTP', onStop).off('SIGCONT', onContinue).off('exit', close).off('uncaughtExceptionMonitor', close);
    for (const signal of fatal) process.off(signal, onFatal);
  };

  process.on('exit', close).on('uncaughtExceptionMonitor', close);
  process.on('SIGTSTP', onStop).on('SIGCONT', onContinue);
  for (const signal of fatal) process.on(signal, onFatal);
  show();
  stdin.on('data', onData).on('end', onEnd).on('error', onEnd);
  stdin.resume();
  stdout.on('resize', onResize);

  return {
    get columns() {
      return stdout.columns || 80;
    },
    get rows() {
      return stdout.rows || 24;
    },
    write: (text) => void (shown && stdout.write(text)),
    suspend: () => stop(0),
    interrupt: () => void process.kill(process.pid, 'SIGINT'),
    close,
  };
};
