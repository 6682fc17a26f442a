// Starts the pages.
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { worthRetrying } from './api/queries';
import { App } from './app';
import { watchTheme } from './lib/theme';
import './styles.css';

const client = new QueryClient({
  defaultOptions: {
    queries: { retry: worthRetrying, staleTime: 1000, networkMode: 'always' },
    // the service is on this machine or beside it: being "offline" says nothing about it
    mutations: { networkMode: 'always' },
  },
});

watchTheme();
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
