// The orders, those that need somebody on top.
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

export function OrderList({ judged, sort, activities, showRepository, onDo }: Props) {
  const now = useNow();
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
                onDo={onDo}
              />
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}
