// What every unit test needs.
import { cleanup, configure } from '@testing-library/react';
import { afterEach } from 'vitest';

// a machine with much else to do takes longer than the second that is usual
configure({ asyncUtilTimeout: 15_000 });

afterEach(() => {
  cleanup();
  localStorage.clear();
});
