// The import rules of ARCHITECTURE.md. Project references enforce them for the compiler; this file names each one,
// sees npm packages too, and finds cycles. test/architecture.test.ts proves that both tools still bite.
const part = (name) => `^src/${name}/`;
const allowed = {
  core: [],
  wire: ['core'],
  linux: ['core'],
  capture: ['core'],
  balancer: ['core'],
  load: ['core'],
  lab: ['core'],
  agent: ['core', 'wire', 'linux'],
  web: ['core', 'wire'],
};

module.exports = {
  forbidden: [
    ...Object.entries(allowed).map(([from, to]) => ({
      name: `${from}-imports-only-${to.join('-') || 'itself'}`,
      severity: 'error',
      from: { path: part(from) },
      to: { path: '^src/', pathNot: [from, ...to].map(part) },
    })),
    { name: 'cli-does-not-import-web', severity: 'error', from: { path: part('cli') }, to: { path: part('web') } },
    {
      name: 'core-is-pure',
      comment: 'no I/O, no clock, no randomness, no npm',
      severity: 'error',
      from: { path: part('core') },
      to: { dependencyTypes: ['core', 'npm', 'npm-dev', 'npm-optional', 'npm-no-pkg'] },
    },
    {
      name: 'ffi-only-in-linux',
      severity: 'error',
      from: { path: '^src/', pathNot: '^src/linux/ffi' },
      to: { path: 'node_modules/koffi' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'engines-do-not-import-tests', severity: 'error', from: { path: '^src/' }, to: { path: '^(test|bench|scripts)/' } },
    { name: 'no-unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: {
      extensions: ['.ts', '.js', '.json'],
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
