/* The rules of git's fsck on raw trees and .gitmodules: libgit2 1.5 checks none of them when it
 * takes a pack in. */
#include "awo-worker/git/fsck.h"

#include <git2.h>
#include <git2/sys/path.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"

/* The name as HFS+ compares it: without the code points that it ignores. -1 when out is too small
 * (then it is not .git). */
static int
without_ignored(const char *name, size_t len, char *out, size_t size)
{
	const unsigned char *s = (const unsigned char *)name;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (i + 2 < len && s[i] == 0xe2 && s[i + 1] == 0x80 &&
		    ((s[i + 2] >= 0x8c && s[i + 2] <= 0x8f) ||
			(s[i + 2] >= 0xaa && s[i + 2] <= 0xae))) {
			i += 2;
			continue;
		}
		if (i + 2 < len && s[i] == 0xe2 && s[i + 1] == 0x81 && s[i + 2] >= 0xaa &&
		    s[i + 2] <= 0xaf) {
			i += 2;
			continue;
		}
		if (i + 2 < len && s[i] == 0xef && s[i + 1] == 0xbb && s[i + 2] == 0xbf) {
			i += 2;
			continue;
		}
		if (n + 1 >= size)
			return -1;
		out[n++] = (char)s[i];
	}
	out[n] = '\0';
	return (int)n;
}

/* NTFS drops blanks and dots at the end and takes what follows a colon for a stream; '\' divides
 * paths there. */
static bool
is_ntfs(const char *name, size_t len, const char *want)
{
	size_t n = strlen(want);

	if (len < n || strncasecmp(name, want, n) != 0)
		return false;
	for (size_t i = n; i < len; i++) {
		if (name[i] == ':' || name[i] == '\\')
			return true;
		if (name[i] != ' ' && name[i] != '.')
			return false;
	}
	return true;
}

static bool
is_dotgit_part(const char *name, size_t len)
{
	char plain[8];

	return is_ntfs(name, len, ".git") || is_ntfs(name, len, "git~1") ||
	       (without_ignored(name, len, plain, sizeof(plain)) == 4 &&
		   strcasecmp(plain, ".git") == 0);
}

bool
fsck_is_dotgit(const char *name, size_t len)
{
	/* "a\.git" is a path to Windows. */
	for (size_t i = 0; i < len; i++) {
		if ((i == 0 || name[i - 1] == '\\') && is_dotgit_part(name + i, len - i))
			return true;
	}
	return false;
}

bool
fsck_is_gitmodules(const char *name, size_t len)
{
	return git_path_is_gitfile(name, len, GIT_PATH_GITFILE_GITMODULES, GIT_PATH_FS_NTFS) > 0 ||
	       git_path_is_gitfile(name, len, GIT_PATH_GITFILE_GITMODULES, GIT_PATH_FS_HFS) > 0 ||
	       (len == 11 && strncasecmp(name, ".gitmodules", 11) == 0);
}

int
fsck_order(const char *a, size_t alen, bool a_is_tree, const char *b, size_t blen, bool b_is_tree)
{
	size_t n = alen < blen ? alen : blen;
	int c = memcmp(a, b, n);
	unsigned char ca, cb;

	if (c != 0)
		return c;
	ca = alen > n ? (unsigned char)a[n] : a_is_tree ? '/' : 0;
	cb = blen > n ? (unsigned char)b[n] : b_is_tree ? '/' : 0;
	return ca < cb ? -1 : ca > cb;
}

static int
compare(const struct fsck_entry *a, const struct fsck_entry *b)
{
	return fsck_order(
	    a->name, a->len, a->mode == 040000, b->name, b->len, b->mode == 040000);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *
check_name(const struct fsck_entry *e)
{
	if (e->len == 0)
		return "an entry without a name";
	if (e->len > 4096)
		return "an entry whose name is longer than 4096 bytes";
	if (memchr(e->name, '/', e->len) != NULL)
		return "an entry whose name has a slash";
	if (strcmp(e->name, ".") == 0 || strcmp(e->name, "..") == 0)
		return "an entry that names this or the parent directory";
	if (fsck_is_dotgit(e->name, e->len))
		return "an entry that is .git to some file system";
	if (e->mode == 0120000 && fsck_is_gitmodules(e->name, e->len))
		return "a .gitmodules that is a symbolic link";
	return NULL;
}

/* Reads one entry at *pos. */
static const char *
read_entry(const unsigned char *p, size_t len, size_t *pos, struct fsck_entry *e)
{
	static const unsigned modes[] = {040000, 0100644, 0100664, 0100755, 0120000, 0160000};
	size_t i = *pos;
	const unsigned char *nul;

	e->mode = 0;
	if (p[i] == '0')
		return "an entry whose mode begins with 0";
	for (; i < len && p[i] >= '0' && p[i] <= '7' && i - *pos < 7; i++)
		e->mode = e->mode * 8 + (unsigned)(p[i] - '0');
	if (i >= len || p[i] != ' ')
		return "an entry with a malformed mode";
	e->name = (const char *)p + ++i;
	nul = memchr(p + i, '\0', len - i);
	if (nul == NULL || (size_t)(p + len - nul) < 1 + 20)
		return "an entry that is cut off";
	e->len = (size_t)(nul - (p + i));
	e->oid = nul + 1;
	*pos = (size_t)(nul - p) + 21;
	for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++) {
		if (e->mode == modes[m])
			return NULL;
	}
	return "an entry with a mode that git does not know";
}

const char *
fsck_tree(const void *tree, size_t len, fsck_entry_fn *each, void *arg, const char **name)
{
	struct fsck_entry last = {0}, e = {0};
	const char **names = NULL, *bad = NULL;
	size_t pos = 0, n = 0, cap = 0;

	*name = NULL;
	while (bad == NULL && pos < len) {
		bad = read_entry(tree, len, &pos, &e);
		if (bad == NULL)
			bad = check_name(&e);
		if (bad == NULL && n > 0 && compare(&last, &e) >= 0)
			bad = compare(&last, &e) == 0 ? "the same entry twice"
						      : "entries out of order";
		if (bad == NULL && each != NULL && each(&e, arg) != 0)
			bad = "an entry that was refused";
		if (bad != NULL) {
			*name = e.name;
			break;
		}
		if (n == cap)
			names = xrealloc(names, cap = cap ? cap * 2 : 64, sizeof(*names));
		names[n++] = e.name;
		last = e;
	}
	/* A file and a directory of one name are in order, with others between them. */
	if (bad == NULL && n > 1) {
		qsort(names, n, sizeof(*names), by_name);
		for (size_t i = 1; i < n && bad == NULL; i++) {
			if (strcmp(names[i - 1], names[i]) == 0) {
				bad = "the same entry twice";
				*name = names[i];
			}
		}
	}
	free(names);
	return bad;
}

/* "<key> <40 digits>\n" at *p: takes it and hands it on. 0: something else is there; -1: refused. */
static int
take_named(const char **p, const char *end, const char *key, fsck_named_fn *each, void *arg)
{
	size_t n = strlen(key);
	git_oid id;

	if ((size_t)(end - *p) < n + GIT_OID_HEXSZ + 2 || memcmp(*p, key, n) != 0 ||
	    (*p)[n] != ' ' || (*p)[n + 1 + GIT_OID_HEXSZ] != '\n' ||
	    git_oid_fromstrn(&id, *p + n + 1, GIT_OID_HEXSZ) < 0)
		return 0;
	*p += n + GIT_OID_HEXSZ + 2;
	return each(id.id, arg) == 0 ? 1 : -1;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "seconds zone\n" at p, in a text that has a newline. */
static bool
is_date(const char *p)
{
	uint64_t t = 0;

	while (*p == ' ' || *p == '\t')
		p++;
	if (!is_digit(*p) || (*p == '0' && p[1] != ' '))
		return false;
	for (; is_digit(*p); p++) {
		/* no more seconds than a time_t holds */
		if (t > (INT64_MAX - (uint64_t)(*p - '0')) / 10)
			return false;
		t = t * 10 + (uint64_t)(*p - '0');
	}
	if (*p++ != ' ' || (*p != '+' && *p != '-'))
		return false;
	for (int i = 1; i <= 4; i++) {
		if (!is_digit(p[i]))
			return false;
	}
	return p[5] == '\n';
}

/* "<key> name <mail> seconds zone\n" */
static bool
take_person(const char **p, const char *end, const char *key)
{
	size_t n = strlen(key);
	const char *line = *p, *eol = memchr(line, '\n', (size_t)(end - line)), *open, *shut;

	if (eol == NULL || (size_t)(eol - line) < n + 1 || memcmp(line, key, n) != 0 ||
	    line[n] != ' ')
		return false;
	*p = eol + 1;
	line += n + 1;
	open = line + strcspn(line, "<>\n");
	if (*open != '<' || open == line || open[-1] != ' ')
		return false;
	shut = open + 1 + strcspn(open + 1, "<>\n");
	return shut[0] == '>' && shut[1] == ' ' && is_date(shut + 2);
}

const char *
fsck_commit(const char *commit, size_t len, fsck_named_fn *each, void *arg)
{
	const char *p = commit, *end = commit + len;
	int r;

	if (memchr(commit, '\0', len) != NULL)
		return "a NUL character";
	if ((r = take_named(&p, end, "tree", each, arg)) <= 0)
		return r < 0 ? "a tree that was refused" : "no tree";
	while ((r = take_named(&p, end, "parent", each, arg)) > 0)
		;
	if (r < 0)
		return "a parent that was refused";
	if (!take_person(&p, end, "author"))
		return "no author with a valid date";
	if (!take_person(&p, end, "committer"))
		return "no committer with a valid date";
	return NULL;
}

/* One value of a git configuration file: quotes and escapes resolved, a comment dropped. */
static const char *
read_value(const char *s, const char *end, struct buf *out)
{
	bool quoted = false;

	while (s < end && (*s == ' ' || *s == '\t'))
		s++;
	for (; s < end && (*s != '\n' || quoted); s++) {
		if (*s == '"') {
			quoted = !quoted;
		} else if (*s == '\\' && s + 1 < end) {
			s++;
			if (*s == 'n')
				buf_addc(out, '\n');
			else if (*s != '\n')
				buf_addc(out, *s);
		} else if (!quoted && (*s == '#' || *s == ';')) {
			while (s < end && *s != '\n')
				s++;
			break;
		} else if (*s != '\r') {
			buf_addc(out, *s);
		}
	}
	while (out->len > 0 && (out->p[out->len - 1] == ' ' || out->p[out->len - 1] == '\t'))
		out->p[--out->len] = '\0';
	if (out->p == NULL)
		buf_adds(out, "");
	return s;
}

static bool
has_parent(const char *s)
{
	while (*s != '\0') {
		size_t n = strcspn(s, "/\\");

		if (n == 2 && s[0] == '.' && s[1] == '.')
			return true;
		s += n + (s[n] != '\0');
	}
	return false;
}

static const char *
check_value(const char *key, size_t n, const char *value)
{
	if (n == 3 && strncasecmp(key, "url", n) == 0) {
		if (value[0] == '-')
			return "a submodule's url that is an option to git";
		if (strchr(value, '\n') != NULL || strcasestr(value, "%0a") != NULL)
			return "a submodule's url with a line feed";
		if (strncasecmp(value, "ext::", 5) == 0 || strncasecmp(value, "fd::", 4) == 0)
			return "a submodule's url that runs a program";
	}
	if (n == 4 && strncasecmp(key, "path", n) == 0) {
		if (value[0] == '-')
			return "a submodule's path that is an option to git";
		if (value[0] == '/' || has_parent(value))
			return "a submodule's path outside the repository";
	}
	if (n == 6 && strncasecmp(key, "update", n) == 0 && value[0] == '!')
		return "a submodule that runs a program on update";
	return NULL;
}

const char *
fsck_gitmodules(const char *text, size_t len)
{
	const char *s = text, *end = text + len, *bad = NULL;

	if (len > 1U << 20)
		return "a .gitmodules of more than 1 MiB";
	if (memchr(text, '\0', len) != NULL)
		return "a .gitmodules with NUL bytes";
	while (s < end && bad == NULL) {
		struct buf value = {0};
		const char *key;
		size_t n;

		while (s < end && (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r'))
			s++;
		key = s;
		if (s < end && *s == '[') {
			/* [submodule "name"], and settings may follow on the same line */
			const char *q = memchr(s, '"', (size_t)(end - s)),
				   *nl = memchr(s, '\n', (size_t)(end - s));

			while (s < end && *s != '\n' && *s != ']' && *s != '"')
				s++;
			if (q != NULL && (nl == NULL || q < nl)) {
				for (s = q + 1; s < end && *s != '"'; s++) {
					if (*s == '\\' && s + 1 < end)
						s++;
					buf_addc(&value, *s);
				}
				if (value.p != NULL && (has_parent(value.p) || value.p[0] == '\0'))
					bad = "a submodule's name with ..";
				while (s < end && *s != ']' && *s != '\n')
					s++;
			}
			if (s < end)
				s++;
		} else if (s < end && (*s == '#' || *s == ';')) {
			while (s < end && *s != '\n')
				s++;
		} else if (s < end) {
			while (s < end && *s != '=' && *s != '\n' && *s != ' ' && *s != '\t')
				s++;
			n = (size_t)(s - key);
			while (s < end && (*s == ' ' || *s == '\t'))
				s++;
			if (s < end && *s == '=') {
				s = read_value(s + 1, end, &value);
				bad = check_value(key, n, value.p);
			} else if (s < end && *s != '\n') {
				/* no setting: git would refuse the file, skip the line */
				while (s < end && *s != '\n')
					s++;
			}
		}
		buf_free(&value);
	}
	return bad;
}
