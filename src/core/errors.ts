/**
 * The one table of everything that can go wrong in words a user reads.
 *
 * An error is a code, the facts it was raised with, and whose fault it is. Message and hint are rendered from this table
 * and nowhere else; `docs/errors.md` has a row for each code (a test holds the two equal). Codes are never reused.
 */

/** Exit codes: sysexits.h, plus `doctor`'s monitoring-plugin codes, which it returns by itself (0 to 3). */
export const ExitCode = {
  ok: 0,
  no: 1,
  usage: 64,
  badInput: 65,
  notFound: 66,
  unavailable: 69,
  bug: 70,
  permission: 77,
  badConfiguration: 78,
  interrupted: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** Who has to act: the person at the keyboard, this host, the peer, the path between, or us. */
export type Fault = 'user' | 'local' | 'remote' | 'network' | 'plimsoll';

/** What an error was raised with. Values are escaped where they are printed, not here. */
export type ErrorFacts = Readonly<Record<string, string | number>>;

interface Entry {
  readonly exit: ExitCode;
  readonly fault: Fault;
  /** `{name}` is replaced by the fact of that name. */
  readonly message: string;
  readonly hint: string;
}

const catalogue = {
  // --- the command line ---
  unknown_command: { exit: 64, fault: 'user', message: 'there is no command "{command}"', hint: '{nearest}' },
  unknown_option: { exit: 64, fault: 'user', message: '{command} has no option "{option}"', hint: '{nearest}' },
  missing_value: { exit: 64, fault: 'user', message: '{option} needs {value}', hint: '{example}' },
  bad_value: { exit: 64, fault: 'user', message: '{option}: "{value}" is not {expected}', hint: '{example}' },
  missing_argument: {
    exit: 64,
    fault: 'user',
    message: '{command} needs {argument}',
    hint: 'plimsoll {command} --help shows how it is called',
  },
  excess_argument: {
    exit: 64,
    fault: 'user',
    message: '{command} does not take "{argument}"',
    hint: 'plimsoll {command} --help shows how it is called',
  },
  file_not_found: {
    exit: 66,
    fault: 'user',
    message: 'cannot read {path}: {reason}',
    hint: 'check the path and that this user may read it',
  },
  unwritable: {
    exit: 77,
    fault: 'user',
    message: 'cannot write {path}: {reason}',
    hint: 'name another path, or check who owns that folder and whether the disk is full',
  },

  // --- the host ---
  namespace_not_found: { exit: 66, fault: 'user', message: 'no network namespace "{name}"', hint: '{nearest}' },
  namespace_denied: {
    exit: 77,
    fault: 'local',
    message: 'cannot enter network namespace "{name}": {reason}',
    hint: 'ENOENT: it is gone; EPERM or EACCES: entering another namespace needs CAP_SYS_ADMIN, run it with sudo',
  },
  destination_unresolved: {
    exit: 66,
    fault: 'user',
    message: 'cannot resolve "{host}": {reason}',
    hint: 'give an address, such as 10.0.0.7:443 or [2001:db8::7]:443',
  },
  netlink_malformed: {
    exit: 70,
    fault: 'local',
    message: 'the kernel sent a netlink message that does not parse at byte {offset}: {reason}',
    hint: 'run again; if it stays, report the kernel version: the procfs reader is used meanwhile',
  },
  netlink_refused: {
    exit: 70,
    fault: 'local',
    message: 'the kernel refused the netlink request: {reason}',
    hint: 'the procfs reader is used instead',
  },
  // --- the balancer's configuration ---
  bad_configuration: {
    exit: 78,
    fault: 'user',
    message: '{path} has {count} mistake{s}; nothing was changed',
    hint: 'each is named with its line and column; docs/reference/configuration.md lists every field',
  },

  bad_certificate: {
    exit: 78,
    fault: 'user',
    message: 'no TLS can be spoken with the certificate {cert} and the key {key}: {reason}',
    hint: 'both are PEM; NO_START_LINE: one is not; KEY_VALUES_MISMATCH: the key belongs to another certificate',
  },

  // --- the balancer ---
  listen_failed: {
    exit: 69,
    fault: 'local',
    message: 'cannot listen on {listen}: {reason}',
    hint: 'EADDRINUSE: another program has that port (ss -ltnp shows it); EACCES: ports below 1024 need root; EADDRNOTAVAIL: the address is not on this host',
  },
  not_configured: {
    exit: 66,
    fault: 'user',
    message: 'there is no {what} named "{name}"',
    hint: '{known}',
  },
  not_settable: {
    exit: 64,
    fault: 'user',
    message: 'cannot set that on "{name}": {reason}',
    hint: 'plimsoll set virtualservice NAME connection_multiplexing=on|off, plimsoll set snatpool NAME address+=ADDRESS',
  },
  not_running: {
    exit: 69,
    fault: 'user',
    message: 'no plimsoll balance answers at {socket}: {reason}',
    hint: 'start it with plimsoll balance -c FILE, or name its socket with --socket',
  },
  already_running: {
    exit: 69,
    fault: 'user',
    message: 'another plimsoll balance answers at {socket}',
    hint: 'stop it first, or give this one its own socket with --socket',
  },
  socket_denied: {
    exit: 77,
    fault: 'user',
    message: 'this user may not use the socket {socket}: {reason}',
    hint: 'run it as root, as the user the balancer runs as, or as a member of its group',
  },
  control_denied: {
    exit: 77,
    fault: 'user',
    message: 'the balancer at {socket} does not take changes from user {uid}',
    hint: 'run it as root or as the user the balancer runs as',
  },
  control_malformed: {
    exit: 70,
    fault: 'plimsoll',
    message: 'the balancer and this command do not understand each other: {reason}',
    hint: 'both must be of the same version of plimsoll',
  },
  user_unknown: {
    exit: 78,
    fault: 'user',
    message: 'cannot become user "{user}": {reason}',
    hint: 'create it (useradd --system {user}), or leave `user:` out; changing user needs root',
  },
  workers_unsupported: {
    exit: 69,
    fault: 'local',
    message: 'cannot share listeners between {workers} workers: {reason}',
    hint: 'run with --workers 1',
  },

  // --- plimsoll show ---
  show_what: { exit: 64, fault: 'user', message: 'show cannot show "{value}"', hint: '{nearest}' },
  show_not_found: { exit: 66, fault: 'user', message: 'this balancer has no {kind} "{name}"', hint: '{nearest}' },

  // --- captures ---
  capture_unknown_format: {
    exit: 65,
    fault: 'user',
    message: '{file} is not a packet capture: at byte {offset} {what}',
    hint: '{instead}',
  },
  capture_empty: {
    exit: 65,
    fault: 'user',
    message: '{file} holds no capture: {reason}',
    hint: 'was tcpdump stopped before it wrote anything? Run it with -U to write each packet at once',
  },
  capture_link: {
    exit: 65,
    fault: 'user',
    message: '{file}: link type {link} is not decoded',
    hint: 'decoded are: {known}. Capture on an interface of one of these, or with tcpdump -i any',
  },
  capture_terminal: {
    exit: 64,
    fault: 'user',
    message: 'explain - reads a capture from a pipe, and standard input is a terminal',
    hint: 'tcpdump -i any -s 128 -U -w - tcp | plimsoll explain -',
  },
  capture_too_many: {
    exit: 64,
    fault: 'user',
    message: '{count} files are more than the {most} that one run merges',
    hint: 'merge some of them beforehand: mergecap -w all.pcapng FILES',
  },

  // --- the lab ---
  lab_unknown_action: { exit: 64, fault: 'user', message: 'lab cannot "{action}"', hint: '{nearest}' },
  lab_unknown_scenario: {
    exit: 66,
    fault: 'user',
    message: 'the lab has no scenario "{name}"',
    hint: '{nearest} (plimsoll lab list tells their stories)',
  },
  lab_denied: {
    exit: 77,
    fault: 'user',
    message: '{what} makes network namespaces, and this process lacks {missing}',
    hint: 'sudo env "PATH=$PATH" {line}',
  },
  lab_program_missing: {
    exit: 69,
    fault: 'local',
    message: '{what} needs {programs}, which this host does not have',
    hint: 'on Debian and Ubuntu: apt install {packages}',
  },
  lab_failed: {
    exit: 69,
    fault: 'local',
    message: '{scenario} could not be carried out, while {step}: {reason}',
    hint: 'run it with --keep and look into the namespaces and logs it leaves; plimsoll lab clean removes them',
  },

  // --- plan and tune ---
  missing_option: { exit: 64, fault: 'user', message: '{command} needs {option}', hint: '{example}' },
  option_needs: { exit: 64, fault: 'user', message: '{option} says nothing without {other}', hint: 'add {other}, or leave {option} out' },
  options_conflict: { exit: 64, fault: 'user', message: '{first} and {second} exclude each other', hint: 'give one of the two' },
  privileged_ports: {
    exit: 64,
    fault: 'user',
    message: '{option}: {range} reaches into the ports below 1024, which belong to services',
    hint: 'begin at 1024, or add --allow-privileged if that is meant',
  },
  no_ports_left: {
    exit: 64,
    fault: 'user',
    message: 'of the range {range} all ports are reserved ({blocked})',
    hint: 'reserve fewer, or give a wider range',
  },
  report_unusable: {
    exit: 65,
    fault: 'user',
    message: '{path} is no plimsoll.report/1: {reason}',
    hint: 'write one with: plimsoll doctor --json > report.json',
  },
  space_not_found: { exit: 66, fault: 'user', message: 'there is no port space "{id}"', hint: '{nearest}' },
  no_space: {
    exit: 66,
    fault: 'user',
    message: 'there is no port space to start from: {where} has no outbound connection',
    hint: 'describe the load instead, for example: plimsoll plan --rate 500/s --duration 20ms',
  },
  unknown_remedy: { exit: 66, fault: 'user', message: 'plan knows no remedy "{name}"', hint: '{nearest}' },
  no_rate: {
    exit: 66,
    fault: 'user',
    message: '{id} opened and closed no connection: there is no rate to plan with',
    hint: 'give the rate to plan for, for example --rate 500/s',
  },
  journal_denied: {
    exit: 77,
    fault: 'user',
    message: 'cannot keep a journal in {path}: {reason}; nothing was changed',
    hint: 'changing settings needs root: run it with sudo (without: plimsoll tune --dry-run), or name another folder with --state',
  },
  unknown_setting: { exit: 66, fault: 'user', message: 'tune does not look at "{name}"', hint: '{nearest}' },
  setting_denied: {
    exit: 77,
    fault: 'user',
    message: 'cannot set {name}: {reason}; nothing was changed',
    hint: 'changing settings needs root (in a container: a writable {proc}/sys); without it, plimsoll tune --dry-run shows what it would do',
  },
  proc_read_only: {
    exit: 77,
    fault: 'local',
    message: 'cannot set {name}: {proc} is mounted read-only; nothing was changed',
    hint: 'set it on the host, or for a pod: plimsoll tune --format pod',
  },
  setting_refused: {
    exit: 70,
    fault: 'local',
    message: '{name} = {value} was written, but reads back as {found}',
    hint: 'the kernel does not take this value',
  },
  setting_moved: {
    exit: 69,
    fault: 'user',
    message: '{name} changed from {before} to {found} in the meantime',
    hint: 'somebody else is changing settings: find out who, then run it again',
  },
  tune_failed: {
    exit: 69,
    fault: 'local',
    message: '{reason}; everything was put back as it was',
    hint: 'fix that and run it again: nothing is half-applied',
  },
  tune_half: {
    exit: 70,
    fault: 'local',
    message: '{reason}; putting things back failed too: {again}',
    hint: 'what was there is written in {path}: run plimsoll tune --rollback when the host lets you write again',
  },
  tune_busy: {
    exit: 69,
    fault: 'user',
    message: 'another plimsoll tune is changing this host ({path} is locked: {reason})',
    hint: 'wait until it is done, then run it again',
  },
  tune_unavailable: {
    exit: 69,
    fault: 'local',
    message: 'settings cannot be changed safely here: {reason}',
    hint: 'the lock needs the C library; plimsoll tune --dry-run shows what to set by hand',
  },
  journal_unusable: {
    exit: 65,
    fault: 'local',
    message: 'the journal {path} cannot be used: {reason}',
    hint: 'it holds what was there before; move it away to begin anew, and set by hand what it says',
  },
  nothing_to_undo: {
    exit: 66,
    fault: 'user',
    message: 'there is nothing to roll back: {path} is not there',
    hint: 'was it applied with another --state or in another namespace (--netns)?',
  },

  // --- the agent: starting it ---
  agent_running: {
    exit: 69,
    fault: 'user',
    message: 'another plimsoll serve answers at {socket}',
    hint: 'stop it first, or give this one its own socket with --socket',
  },
  agent_port_taken: {
    exit: 69,
    fault: 'local',
    message: 'cannot listen on {listen}: {holder} listens there already',
    hint: 'choose another port, for example --listen 127.0.0.1:{free}, or stop that program',
  },
  agent_needs_token: {
    exit: 64,
    fault: 'user',
    message: 'listening on {listen} lets other hosts in, and that needs --token-file FILE',
    hint: 'plimsoll makes the file if it is not there; add --tls-cert and --tls-key, so that nobody on the way reads the token',
  },
  token_unusable: {
    exit: 77,
    fault: 'user',
    message: 'the token file {path} cannot be used: {reason}',
    hint: 'it holds one line of at least 32 letters and digits, is yours, and nobody else may read it: chmod 600 {path}',
  },
  tls_unusable: {
    exit: 65,
    fault: 'user',
    message: 'cannot use {path} for TLS: {reason}',
    hint: '--tls-cert and --tls-key name PEM files that belong together',
  },

  // --- the agent: its HTTP side ---
  agent_starting: {
    exit: 69,
    fault: 'plimsoll',
    message: 'the agent has not looked twice yet',
    hint: 'ask again in a second',
  },
  http_host: {
    exit: 64,
    fault: 'user',
    message: 'the agent does not answer to the name "{host}"',
    hint: 'use its address, or start it with --host {host}: names are checked against DNS rebinding',
  },
  http_origin: {
    exit: 77,
    fault: 'user',
    message: 'a page from "{origin}" may not ask this agent',
    hint: 'only pages that the agent served itself may',
  },
  http_token_missing: {
    exit: 77,
    fault: 'user',
    message: '{what} needs the token',
    hint: 'send it as "Authorization: Bearer TOKEN"; the agent printed it at its start, or it is in the token file',
  },
  http_token_wrong: {
    exit: 77,
    fault: 'user',
    message: 'that is not the token of this agent',
    hint: 'the token changes at every start unless --token-file keeps it',
  },
  http_write_header: {
    exit: 77,
    fault: 'user',
    message: 'a change needs the header "X-Plimsoll: 1"',
    hint: 'it proves that no other site’s page made the request',
  },
  http_not_found: {
    exit: 66,
    fault: 'user',
    message: 'there is nothing at {path}',
    hint: '/openapi.json lists every route',
  },
  http_method: {
    exit: 64,
    fault: 'user',
    message: '{path} does not take {method}',
    hint: 'it takes {allowed}',
  },
  http_bad_request: {
    exit: 64,
    fault: 'user',
    message: 'that is no HTTP request: {reason}',
    hint: 'RFC 9112 says how one looks',
  },
  http_bad_value: {
    exit: 64,
    fault: 'user',
    message: '{where} {name}: {reason}',
    hint: '/openapi.json says what it takes',
  },
  http_bad_json: {
    exit: 65,
    fault: 'user',
    message: 'the request’s body is no JSON: {reason}',
    hint: '/openapi.json shows what the body looks like',
  },
  http_media_type: {
    exit: 64,
    fault: 'user',
    message: 'the request’s body is "{type}", not application/json',
    hint: 'send "Content-Type: application/json"',
  },
  http_too_large: {
    exit: 65,
    fault: 'user',
    message: 'the request’s body is longer than {most} bytes',
    hint: 'nothing here takes that much',
  },
  http_headers_too_large: {
    exit: 65,
    fault: 'user',
    message: 'the request’s header is longer than {most} bytes',
    hint: 'leave out cookies and other headers: the agent uses none',
  },
  http_timeout: {
    exit: 69,
    fault: 'network',
    message: 'the request was not complete after {seconds} s',
    hint: 'send it at once',
  },
  http_too_many: {
    exit: 69,
    fault: 'user',
    message: 'too many {what} from {address}',
    hint: 'wait {seconds} s; /api/v1/events tells every change without asking',
  },
  http_readers_full: {
    exit: 69,
    fault: 'local',
    message: '{most} readers listen to events already',
    hint: 'close one, or ask /api/v1/report instead',
  },

  // --- plimsoll load ---
  load_unreachable: {
    exit: 69,
    fault: 'remote',
    message: 'cannot connect to {endpoint}: {reason}',
    hint: 'is the server up, and is that its port? Nothing was sent',
  },
  load_tls: {
    exit: 69,
    fault: 'remote',
    message: 'no TLS with {endpoint}: {reason}',
    hint: 'if its certificate is meant to be that way, add --insecure',
  },
  load_no_port: {
    exit: 69,
    fault: 'local',
    message: 'no source port towards {endpoint} is free in the range {range}: {reason}',
    hint: 'plimsoll doctor shows who holds them; give other --ports, more --source addresses, or wait until TIME_WAITs have ended',
  },
  load_denied: {
    exit: 77,
    fault: 'local',
    message: 'may not connect to {endpoint}: {reason}',
    hint: 'source ports below 1024 need root (give others with --ports); else look for a firewall rule on this host',
  },
  source_absent: {
    exit: 69,
    fault: 'user',
    message: 'the source address {address} is not on this host ({reason})',
    hint: 'ip address shows those that are; ip address add {address}/32 dev lo adds one',
  },

  // --- the agent: its history ---
  data_unwritable: {
    exit: 77,
    fault: 'user',
    message: 'cannot keep history in {path}: {reason}',
    hint: 'make that folder writable for the user the agent runs as, name another with --data, or leave --data out to keep history in memory',
  },
  history_newer: {
    exit: 65,
    fault: 'user',
    message: 'the history {path} is of a newer plimsoll: its version is {found}, this one knows up to {known}',
    hint: 'it was left as it is: run the newer plimsoll, or name another folder with --data',
  },
  history_foreign: {
    exit: 65,
    fault: 'user',
    message: '{path} is a database, but no history of plimsoll',
    hint: 'it was left as it is: name another folder with --data',
  },
  history_busy: {
    exit: 69,
    fault: 'user',
    message: 'another process has the history {path} open',
    hint: 'stop the other plimsoll serve, or give this one a folder of its own with --data',
  },

  internal: {
    exit: 70,
    fault: 'plimsoll',
    message: 'something in plimsoll broke: {reason}',
    hint: 'this is our bug: please report it with the command you ran',
  },
} as const satisfies Record<string, Entry>;

/** Every code of the table. */
export type ErrorCode = keyof typeof catalogue;

/** Codes of the catalogue, for the docs and their test. */
export const errorCodes = Object.keys(catalogue) as readonly ErrorCode[];

/** The raw entry of `code`, for docs. */
export const errorEntry = (code: ErrorCode): Entry => catalogue[code];

const fill = (template: string, facts: ErrorFacts): string =>
  template.replace(/\{(\w+)\}/g, (whole, name: string) => (name in facts ? String(facts[name]) : whole));

/** An error of the catalogue. `facts` are its evidence; `cause` is the error underneath, if any. */
export class PlimsollError extends Error {
  override readonly name = 'PlimsollError';
  readonly code: ErrorCode;
  readonly facts: ErrorFacts;
  readonly hint: string;
  readonly exit: ExitCode;
  readonly fault: Fault;

  constructor(code: ErrorCode, facts: ErrorFacts = {}, options: { readonly cause?: unknown } = {}) {
    const entry = catalogue[code];
    super(fill(entry.message, facts), options);
    this.code = code;
    this.facts = facts;
    this.hint = fill(entry.hint, facts);
    this.exit = entry.exit;
    this.fault = entry.fault;
  }
}
