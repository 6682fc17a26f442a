// Text of an agent's, shown as the Markdown that it is. HTML in it stays text, and links go nowhere by themselves.
import Markdown from 'react-markdown';
import { safeLink } from '../lib/format';

export default function MarkdownText({ text }: { text: string }) {
  return (
    <Markdown
      disallowedElements={['img']}
      components={{
        a: ({ href, children }) =>
          safeLink(href ?? null) ? (
            <a href={href} target="_blank" rel="noopener noreferrer">
              {children}
            </a>
          ) : (
            <span>{children}</span>
          ),
      }}
    >
      {text}
    </Markdown>
  );
}
