// Starts the pages.
import { MutationCache, QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { worthRetrying, readAgain } from './api/queries';
import { App } from './app';
import { keepPresses } from './lib/press';
import { watchTheme } from './lib/theme';
import './styles.css';

const client = new QueryClient({
  defaultOptions: {
    queries: { retry: worthRetrying, staleTime: 1000, networkMode: 'always' },
    // the service is on this machine or beside it: being "offline" says nothing about it
    mutations: { networkMode: 'always' },
  },
  mutationCache: new MutationCache({
    // what was not refused for itself may tell that nobody is there
    onError: (error) => {
      if (worthRetrying(0, error)) readAgain(client, { queryKey: ['health'] });
    },
  }),
});

watchTheme();
keepPresses();
const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <App />
      </QueryClientProvider>
    </StrictMode>,
  );
}
