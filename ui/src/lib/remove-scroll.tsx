// Stops the page from scrolling behind a dialog, without the <style> element that a content security policy forbids.
import { cloneElement, useEffect, type ReactElement, type ReactNode } from 'react';

interface Props {
  children: ReactNode;
  enabled?: boolean;
  as?: unknown;
}

let locks = 0;

function RemoveScroll({ children, enabled = true }: Props) {
  useEffect(() => {
    if (!enabled) return;
    if (locks++ === 0) document.documentElement.dataset.scrollLocked = '';
    return () => {
      if (--locks === 0) delete document.documentElement.dataset.scrollLocked;
    };
  }, [enabled]);
  // Radix asks for a Slot here: the child itself is what is rendered
  return cloneElement(children as ReactElement);
}

RemoveScroll.classNames = { fullWidth: '', zeroRight: '' };

export { RemoveScroll };
