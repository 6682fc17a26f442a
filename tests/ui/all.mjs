// Everything that is done in one browser with one instance.
import * as ordersList from './orders_list.mjs';
import * as orderDetail from './order_detail.mjs';
import * as repositoryPanel from './repository_panel.mjs';
import * as newOrder from './new_order.mjs';
import * as gates from './gates.mjs';
import * as modals from './modals.mjs';
import * as results from './results.mjs';
import * as logs from './logs.mjs';
import * as live from './live.mjs';
import * as prompts from './prompts.mjs';
import * as repositories from './repositories.mjs';
import * as keyboard from './keyboard.mjs';
import * as filters from './filters.mjs';
import * as analytics from './analytics.mjs';
import * as looks from './looks.mjs';
import { run } from './support.mjs';

// the first of them finds nothing there, the last ones look at what all of them have left
const parts = {
  ordersList,
  begin: { scenarios: logs.begin },
  newOrder,
  gates,
  modals,
  results,
  orderDetail,
  prompts,
  repositories,
  repositoryPanel,
  logs,
  live,
  keyboard,
  filters,
  analytics,
  looks,
};

const scenarios = Object.entries(parts).flatMap(([part, { scenarios: some }]) =>
  Object.entries(some).map(([name, scenario]) => [`${part}: ${name}`, scenario]),
);
process.exit((await run(scenarios)) === 0 ? 0 : 1);
