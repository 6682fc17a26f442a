// The pages and their addresses.
import { useQueryClient } from '@tanstack/react-query';
import { lazy, Suspense, useEffect, useState } from 'react';
import { Redirect, Route, Router, Switch, useLocation } from 'wouter';
import { onLoggedOut } from './api/http';
import { startLive } from './api/live';
import { known, putOrder } from './api/orders';
import { readAgain } from './api/queries';
import { tellIfNeeding } from './orders/tell';
import { ButtonLink } from './components/button';
import { Frame } from './components/frame';
import { Empty, ErrorBoundary, Loading } from './components/state';
import { Toasts } from './components/toasts';
import { LoginPage } from './pages/login-page';
import { OrdersPage } from './pages/orders-page';

const OrderPage = lazy(() => import('./pages/order-page').then((m) => ({ default: m.OrderPage })));
const NewOrderPage = lazy(() => import('./pages/new-order-page').then((m) => ({ default: m.NewOrderPage })));
const RepositoriesPage = lazy(() =>
  import('./pages/repositories-page').then((m) => ({ default: m.RepositoriesPage })),
);
const QueuePage = lazy(() => import('./pages/queue-page').then((m) => ({ default: m.QueuePage })));
const AnalyticsPage = lazy(() =>
  import('./pages/analytics-page').then((m) => ({ default: m.AnalyticsPage })),
);
const SettingsPage = lazy(() => import('./pages/settings-page').then((m) => ({ default: m.SettingsPage })));

function Pages() {
  const [location] = useLocation();
  return (
    <ErrorBoundary key={location}>
      <Suspense fallback={<Loading what="the page" />}>
        <Switch>
          <Route path="/agent-work-orders" component={OrdersPage} />
          <Route path="/agent-work-orders/new" component={NewOrderPage} />
          <Route path="/agent-work-orders/:id">
            {({ id }: { id: string }) => <OrderPage key={id} id={id} />}
          </Route>
          <Route path="/repositories" component={RepositoriesPage} />
          <Route path="/queue" component={QueuePage} />
          <Route path="/analytics" component={AnalyticsPage} />
          <Route path="/settings/:part?">
            {({ part }: { part?: string }) => <SettingsPage part={part} />}
          </Route>
          <Route path="/">
            <Redirect to="/agent-work-orders" replace />
          </Route>
          <Route>
            <Empty whole title="There is no such page" text="The address may be old or mistyped.">
              <ButtonLink to="/agent-work-orders">To the work orders</ButtonLink>
            </Empty>
          </Route>
        </Switch>
      </Suspense>
    </ErrorBoundary>
  );
}

export function App() {
  const client = useQueryClient();
  const [loggedOut, setLoggedOut] = useState(false);

  useEffect(() => onLoggedOut(() => setLoggedOut(true)), []);
  useEffect(() => {
    if (loggedOut) return;
    return startLive({
      onOrder(id, order) {
        tellIfNeeding(known(client, id), order);
        putOrder(client, id, order);
        // what belongs to the order is read again only where somebody looks at it
        readAgain(client, { queryKey: ['order', id], predicate: (q) => q.queryKey.length > 2 });
        readAgain(client, { queryKey: ['queue'] });
      },
      onMissed(id) {
        readAgain(client, { queryKey: ['order', id] });
        readAgain(client, { queryKey: ['orders'] });
      },
      onOpen: () => readAgain(client),
    });
  }, [client, loggedOut]);

  if (loggedOut) {
    return (
      <LoginPage
        onRetry={() => {
          client.clear();
          setLoggedOut(false);
        }}
      />
    );
  }
  return (
    <Router base="/ui">
      <Frame>
        <Pages />
      </Frame>
      <Toasts />
    </Router>
  );
}
