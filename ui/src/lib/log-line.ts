// A line of a log in words.
import type { LogLine } from '../api/client';
import { cost, duration } from './format';
import { stepLabel } from './steps';

const COMMON = new Set([
  'seq',
  'timestamp',
  'level',
  'event',
  'agent_work_order_id',
  'work_order_id',
  'repository_url',
  'workflow_type',
  'sandbox_type',
  'step',
  'event_id',
]);

const str = (value: unknown): string => (typeof value === 'string' ? value : '');
const num = (value: unknown): number | null => (typeof value === 'number' ? value : null);
const short = (sha: unknown): string => str(sha).slice(0, 8);

function show(value: unknown): string {
  if (typeof value === 'string') return value;
  return JSON.stringify(value) ?? '';
}

/** The fields of a line's own event. */
export function ownFields(line: LogLine): [string, unknown][] {
  return Object.entries(line).filter(([key, value]) => !COMMON.has(key) && value !== null);
}

function rest(line: LogLine): string {
  return ownFields(line)
    .map(([key, value]) => `${key}=${show(value)}`)
    .join(' ');
}

function agentOutput(line: LogLine): string {
  const text = str(line.text);
  switch (line.kind) {
    case 'tool_use':
      return `▸ ${str(line.tool)}${line.input === undefined || line.input === null ? '' : `: ${show(line.input)}`}`;
    case 'tool_result':
      return line.is_error === true ? `✗ ${text}` : `◂ ${text}`;
    case 'result':
      return num(line.cost_usd) === null ? text : `${text} (${cost(num(line.cost_usd) ?? 0)})`;
    case 'text':
      return text;
    default:
      return `${str(line.kind)}: ${text}`;
  }
}

/** A line in words; null where there are none for its event. */
function words(line: LogLine): string | null {
  switch (line.event) {
    case 'agent_output':
      return agentOutput(line);
    case 'step_started':
      return `${stepLabel(str(line.step))} begins (${num(line.step_number) ?? '?'}/${num(line.total_steps) ?? '?'})`;
    case 'step_completed': {
      const took = num(line.duration_seconds);
      const tail = took === null ? '' : ` after ${duration(took)}`;
      if (line.success === false)
        return `${stepLabel(str(line.step))} failed${tail}: ${str(line.error_message)}`;
      return `${stepLabel(str(line.step))} done${tail}${str(line.output) ? `: ${str(line.output)}` : ''}`;
    }
    case 'git_commit_created':
      return `Commit ${short(line.sha)}: ${str(line.subject)}`;
    case 'git_branch_created':
      return `Branch ${str(line.git_branch_name)}`;
    case 'git_push_completed':
      return `Pushed ${str(line.git_branch_name)} at ${short(line.sha)}`;
    case 'git_push_failed':
      return `Push of ${str(line.git_branch_name)} failed: ${str(line.error_message)}`;
    case 'github_pull_request_created':
      return `Pull request #${show(line.github_pull_request_number)}: ${str(line.github_pull_request_url)}`;
    case 'workflow_phase_transition':
      return `Phase ${str(line.from_phase)} → ${str(line.to_phase)}`;
    case 'agent_work_order_failed':
    case 'workflow_failed':
      return str(line.error_message);
    case 'prompt_queued':
      return `Prompt: ${str(line.text)}`;
    default:
      return null;
  }
}

/** One line of text; line breaks are kept for those who show more than one. */
export const describe = (line: LogLine): string => words(line) ?? rest(line);

/** What an order does now, for one line of a list; null where the line says nothing about that. */
export function activity(line: LogLine): string | null {
  if (line.event === 'agent_output') {
    const text = agentOutput(line).split('\n')[0]?.trim() ?? '';
    return text ? text.slice(0, 200) : null;
  }
  const text = words(line)?.split('\n')[0] ?? '';
  return `${line.event.replaceAll('_', ' ')}${text ? `: ${text}` : ''}`.slice(0, 200);
}
