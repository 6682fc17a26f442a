// The log of an order in the list.
import { useLog } from '../api/log-stream';
import type { Order } from '../api/types';
import { isTerminal } from '../lib/attention';
import { LogView } from '../order/log-view';

export default function RowLog({ order }: { order: Order }) {
  const log = useLog(order.agent_work_order_id, isTerminal(order.status) ? 0 : order.attempt);
  return <LogView store={log.store} stream={log.state} short />;
}
