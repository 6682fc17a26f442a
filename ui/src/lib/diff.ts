// Reads a unified diff as git writes it.

export interface DiffLine {
  kind: 'context' | 'added' | 'removed' | 'note';
  text: string;
  oldNumber: number | null;
  newNumber: number | null;
}

export interface DiffHunk {
  header: string;
  lines: DiffLine[];
}

export interface DiffFile {
  path: string;
  hunks: DiffHunk[];
  notes: string[];
}

const HUNK = /^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@/;

/** git quotes names with unusual bytes: "a\303\244.txt". */
function unquote(name: string): string {
  if (!name.startsWith('"')) return name;
  const out: number[] = [];
  const encoder = new TextEncoder();
  const escapes: Record<string, string> = { n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v' };
  for (const m of name.slice(1, -1).matchAll(/\\([0-7]{3})|\\(.)|([^\\]+)/gs)) {
    if (m[1] !== undefined) out.push(parseInt(m[1], 8));
    else out.push(...encoder.encode(m[2] !== undefined ? (escapes[m[2]] ?? m[2]) : (m[3] ?? '')));
  }
  return new TextDecoder().decode(new Uint8Array(out));
}

const strip = (name: string): string => unquote(name.replace(/\t$/, '')).replace(/^[ab]\//, '');

/** The path in "diff --git a/x b/x": both halves are the same unless the file was renamed, which other lines say. */
function pathOfHeader(line: string): string {
  const rest = line.slice('diff --git '.length);
  if (rest.startsWith('"')) return strip(/^"(?:[^"\\]|\\.)*"/.exec(rest)?.[0] ?? rest);
  const half = rest.slice(0, (rest.length - 1) / 2);
  return strip(half);
}

export function parseDiff(patch: string): DiffFile[] {
  const files: DiffFile[] = [];
  let file: DiffFile | null = null;
  let hunk: DiffHunk | null = null;
  let oldNumber = 0;
  let newNumber = 0;
  const lines = patch.split('\n');
  if (lines.at(-1) === '') lines.pop();

  for (const line of lines) {
    if (line.startsWith('diff --git ')) {
      file = { path: pathOfHeader(line), hunks: [], notes: [] };
      files.push(file);
      hunk = null;
      continue;
    }
    if (!file) continue;
    const start = HUNK.exec(line);
    if (start) {
      hunk = { header: line, lines: [] };
      file.hunks.push(hunk);
      oldNumber = Number(start[1]);
      newNumber = Number(start[2]);
      continue;
    }
    if (!hunk) {
      if (line.startsWith('+++ ') && line !== '+++ /dev/null') file.path = strip(line.slice(4));
      else if (line.startsWith('rename to ')) file.path = strip(line.slice('rename to '.length));
      if (
        /^(new file|deleted file|old mode|new mode|rename |similarity|Binary files|GIT binary)/.test(line)
      ) {
        file.notes.push(line);
      }
      continue;
    }
    const text = line.slice(1);
    if (line.startsWith('+')) {
      hunk.lines.push({ kind: 'added', text, oldNumber: null, newNumber: newNumber++ });
    } else if (line.startsWith('-')) {
      hunk.lines.push({ kind: 'removed', text, oldNumber: oldNumber++, newNumber: null });
    } else if (line.startsWith('\\')) {
      hunk.lines.push({ kind: 'note', text: text.trim(), oldNumber: null, newNumber: null });
    } else {
      hunk.lines.push({ kind: 'context', text, oldNumber: oldNumber++, newNumber: newNumber++ });
    }
  }
  return files;
}

/** As many lines of the hunks as are to be shown. */
export function firstLines(hunks: readonly DiffHunk[], most: number): DiffHunk[] {
  const out: DiffHunk[] = [];
  let left = most;
  for (const hunk of hunks) {
    if (left <= 0) break;
    out.push({ header: hunk.header, lines: hunk.lines.slice(0, left) });
    left -= hunk.lines.length;
  }
  return out;
}
