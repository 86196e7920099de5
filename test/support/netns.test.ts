import { expect } from 'vitest';
import { kernelTest, namespace } from './netns.ts';
import { listen, openUntilFailure } from './sockets.ts';

kernelTest('a range of twenty ports opens twenty connections to one destination and then fails with EADDRNOTAVAIL', () => {
  const ns = namespace({ range: [40000, 40019], addresses: ['10.66.0.1'] });
  ns.run(() => {
    listen('10.66.0.1', 80);
    const { fds, failure } = openUntilFailure('10.66.0.1', 80);
    expect(fds).toHaveLength(20);
    expect(failure).toMatchObject({ call: 'connect', code: 'EADDRNOTAVAIL' });
  });
});
