// The orders, those that need somebody on top.
import { useState } from 'react';
import { useNow } from '../lib/now';
import type { Activity } from '../api/live';
import { GROUP_TITLE } from '../lib/attention';
import { plural } from '../lib/format';
import type { Doing } from '../lib/actions';
import { OrderRow } from './order-row';
import { grouped, sorted, type Judged, type Sort } from './sorting';

interface Props {
  judged: readonly Judged[];
  sort: Sort;
  activities: ReadonlyMap<string, Activity>;
  showRepository: boolean;
  onDo: (id: string, what: Doing) => void;
}

function changed(ids: ReadonlySet<string>, id: string, isIn: boolean): ReadonlySet<string> {
  const next = new Set(ids);
  if (isIn) next.add(id);
  else next.delete(id);
  return next;
}

export function OrderList({ judged, sort, activities, showRepository, onDo }: Props) {
  const now = useNow();
  // kept here: a row whose order changes its group is made anew
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  // one log at a time: each is a stream, and a browser has six connections to a host
  const [log, setLog] = useState<string | null>(null);
  const sections =
    sort === 'attention'
      ? grouped(judged).map(({ group, entries }) => ({ key: group, title: GROUP_TITLE[group], entries }))
      : [{ key: sort, title: '', entries: sorted(judged, sort) }];
  return (
    <div className="space-y-5">
      {sections.map(({ key, title, entries }) => (
        <section key={key} aria-label={title || 'Orders'} data-group={key}>
          {title && (
            <h2
              className={`mb-1.5 flex items-baseline gap-2 font-semibold ${key === 'attention' ? 'text-failed' : ''}`}
            >
              {title}
              <span className="text-sm font-normal text-soft">{plural(entries.length, 'order')}</span>
            </h2>
          )}
          <ul className={`card overflow-hidden ${key === 'attention' ? 'border-l-4 border-l-failed' : ''}`}>
            {entries.map(({ order, verdict }) => (
              <OrderRow
                key={order.agent_work_order_id}
                order={order}
                verdict={verdict}
                activity={activities.get(order.agent_work_order_id)}
                now={now}
                showRepository={showRepository}
                open={opened.has(order.agent_work_order_id)}
                onOpen={(open) => setOpened(changed(opened, order.agent_work_order_id, open))}
                log={log === order.agent_work_order_id}
                onLog={(show) => setLog(show ? order.agent_work_order_id : null)}
                onDo={onDo}
              />
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}
