// Everything that can be done with an order, behind one button.
import * as Menu from '@radix-ui/react-dropdown-menu';
import { EllipsisVertical } from 'lucide-react';
import { useState } from 'react';
import { Link } from 'wouter';
import type { Order } from '../api/types';
import { IconButton } from '../components/button';
import { ACTION_LABEL, allowedActions, type Doing } from '../lib/actions';
import { copy } from '../lib/copy';
import { useEscape } from '../lib/escape';
import { safeLink } from '../lib/format';

const ITEM = 'cursor-pointer rounded-md px-3 py-1.5 outline-none data-highlighted:bg-raised';

interface Props {
  order: Order;
  onDo: (what: Doing) => void;
}

export function OrderMenu({ order, onDo }: Props) {
  const [open, setOpen] = useState(false);
  useEscape(open, () => setOpen(false));
  const id = order.agent_work_order_id;
  const pull = safeLink(order.github_pull_request_url);
  return (
    <Menu.Root open={open} onOpenChange={setOpen} modal={false}>
      <Menu.Trigger asChild>
        <IconButton label={`More actions for ${id}`}>
          <EllipsisVertical aria-hidden size={18} />
        </IconButton>
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Content align="end" sideOffset={4} className="card z-30 min-w-44 p-1 shadow-xl">
          <Menu.Item asChild className={`${ITEM} block`}>
            <Link href={`/agent-work-orders/${id}`}>Details</Link>
          </Menu.Item>
          {allowedActions(order.status).map((what) => (
            <Menu.Item
              key={what}
              onSelect={() => onDo(what)}
              className={`${ITEM} ${what === 'cancel' || what === 'delete' ? 'text-failed' : ''}`}
            >
              {ACTION_LABEL[what]}
            </Menu.Item>
          ))}
          <Menu.Separator className="my-1 h-px bg-line" />
          <Menu.Item onSelect={() => void copy(id, 'Id')} className={ITEM}>
            Copy id
          </Menu.Item>
          {order.git_branch_name && (
            <Menu.Item
              onSelect={() => void copy(order.git_branch_name ?? '', 'Branch name')}
              className={ITEM}
            >
              Copy branch name
            </Menu.Item>
          )}
          {pull && (
            <Menu.Item asChild className={`${ITEM} block`}>
              <a href={pull} target="_blank" rel="noopener noreferrer">
                Open pull request
              </a>
            </Menu.Item>
          )}
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  );
}
