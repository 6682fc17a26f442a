/* What changed between two commits: totals, files, and the patch. */
#include "awo-worker/git/diff.h"

#include <stdlib.h>
#include <string.h>

#include "awo-worker/git/rename.h"
#include "awo-worker/git/treediff.h"
#include "awo-worker/git/verbs.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/text.h"

#define FILES_MAX 100000
#define PATCH_MAX (3U << 20)

/*
 * What differs of two trees, as two indexes in memory. libgit2 compares trees by reading both to the
 * last entry; these hold nothing that is equal.
 */
struct differing {
	git_index *a, *b;
	const char *path; /* this file or directory only; NULL: all */
	size_t path_len;
};

static int
add_side(git_index *index, const char *path, const struct treediff_file *f)
{
	git_index_entry e = {.path = path, .mode = f->mode, .id = f->oid};

	return f->mode == 0 ? 0 : git_index_add(index, &e);
}

static int
add_file(const char *path, const struct treediff_file *a, const struct treediff_file *b, void *arg)
{
	struct differing *d = arg;
	int r;

	if (d->path != NULL && (strncmp(path, d->path, d->path_len) != 0 ||
				   (path[d->path_len] != '\0' && path[d->path_len] != '/')))
		return 0;
	r = add_side(d->a, path, a);
	return r < 0 ? r : add_side(d->b, path, b);
}

static int
find_differing(struct task *t, git_repository *repo, const git_oid *from, const git_oid *to,
    struct differing *d)
{
	CLEAN_GIT(tree) git_tree *a = NULL, *b = NULL;
	int r;

	if ((!git_oid_is_zero(from) && repo_tree_at(t, repo, from, &a) < 0) ||
	    repo_tree_at(t, repo, to, &b) < 0)
		return -1;
	if (git_index_new(&d->a) < 0 || git_index_new(&d->b) < 0)
		return repo_fail(t, "cannot compare the commits");
	r = treediff(repo, a != NULL ? git_tree_id(a) : NULL, git_tree_id(b), add_file, d);
	if (r == TREEDIFF_DEEP)
		return TASK_FAIL(t, "git", "invalid", "between the commits are " TREEDIFF_DEEP_TEXT);
	return r < 0 ? repo_fail(t, "cannot compare the commits") : 0;
}

static int
compare(struct task *t, git_repository *repo, const git_oid *from, const git_oid *to,
    const char *path, git_diff **out)
{
	struct differing d = {.path = path, .path_len = path != NULL ? strlen(path) : 0};
	git_diff_options o;
	int r;

	(void)git_diff_options_init(&o, GIT_DIFF_OPTIONS_VERSION);
	o.flags = GIT_DIFF_INCLUDE_TYPECHANGE | GIT_DIFF_INDENT_HEURISTIC;
	r = find_differing(t, repo, from, to, &d);
	if (r == 0 && git_diff_index_to_index(out, repo, d.a, d.b, &o) < 0)
		r = repo_fail(t, "cannot compare the commits");
	git_index_free(d.a);
	git_index_free(d.b);
	return r;
}

int
diff_commits(struct task *t, git_repository *repo, const git_oid *from, const git_oid *to,
    const char *path, git_diff **out)
{
	if (compare(t, repo, from, to, path, out) < 0)
		return -1;
	return rename_find(*out) < 0 ? repo_fail(t, "cannot find renames") : 0;
}

/* One side of a file that changed its type, as git compares it: a link's target, a submodule's
 * commit. */
static int
read_side(git_repository *repo, const git_diff_file *f, git_blob **blob, char text[64],
    const char **p, size_t *n)
{
	char sha[GIT_OID_HEXSZ + 1];

	if (f->mode == GIT_FILEMODE_COMMIT) {
		(void)snprintf(
		    text, 64, "Subproject commit %s\n", git_oid_tostr(sha, sizeof(sha), &f->id));
		*p = text;
		*n = strlen(text);
		return 0;
	}
	if (git_blob_lookup(blob, repo, &f->id) < 0)
		return -1;
	*p = git_blob_rawcontent(*blob);
	*n = (size_t)git_blob_rawsize(*blob);
	return 0;
}

/* libgit2 makes no patch of a change of type. */
static int
typechange_patch(git_repository *repo, const git_diff_delta *d, git_patch **out)
{
	CLEAN_GIT(blob) git_blob *a = NULL, *b = NULL;
	char at[64], bt[64];
	const char *ap, *bp;
	size_t an, bn;

	if (read_side(repo, &d->old_file, &a, at, &ap, &an) < 0 ||
	    read_side(repo, &d->new_file, &b, bt, &bp, &bn) < 0)
		return -1;
	return git_patch_from_buffers(out, ap, an, NULL, bp, bn, NULL, NULL);
}

/* Lines of one file; *binary: it has none. */
static int
count_file(struct task *t, git_repository *repo, git_diff *diff, size_t i, size_t *added,
    size_t *removed, bool *binary)
{
	const git_diff_delta *d = git_diff_get_delta(diff, i);
	git_patch *patch = NULL;
	int r;

	*added = *removed = 0;
	*binary = false;
	r = d->status == GIT_DELTA_TYPECHANGE ? typechange_patch(repo, d, &patch)
					      : git_patch_from_diff(&patch, diff, i);
	if (r == 0 && patch != NULL) {
		*binary = git_patch_get_delta(patch)->flags & GIT_DIFF_FLAG_BINARY;
		if (!*binary)
			r = git_patch_line_stats(NULL, added, removed, patch);
	}
	git_patch_free(patch);
	return r < 0 ? repo_fail(t, "cannot compare a file") : 0;
}

int
diff_count(struct task *t, git_repository *repo, git_diff *diff, struct diff_totals *out)
{
	size_t n = git_diff_num_deltas(diff), added, removed;
	bool binary;

	*out = (struct diff_totals){.files = (int64_t)n};
	for (size_t i = 0; i < n; i++) {
		if (count_file(t, repo, diff, i, &added, &removed, &binary) < 0)
			return -1;
		out->added += (int64_t)added;
		out->removed += (int64_t)removed;
	}
	return 0;
}

static const char *
status_name(git_delta_t status)
{
	switch (status) {
	case GIT_DELTA_ADDED:
	case GIT_DELTA_COPIED:
		return "added";
	case GIT_DELTA_DELETED:
		return "deleted";
	case GIT_DELTA_RENAMED:
		return "renamed";
	case GIT_DELTA_TYPECHANGE:
		return "typechange";
	default:
		return "modified";
	}
}

static const char *
path_of(const git_diff_delta *d)
{
	return d->status == GIT_DELTA_DELETED ? d->old_file.path : d->new_file.path;
}

/* The request's two commits; the first becomes their merge base, so that the base's own progress
 * does not show. */
static int
read_range(struct task *t, git_oid *base, git_oid *head)
{
	git_oid fork;

	if (repo_oid_field(t, "base_sha", true, base) < 0 ||
	    repo_oid_field(t, "head", true, head) < 0 ||
	    repo_merge_base(t, repo_of(t), base, head, &fork) < 0)
		return -1;
	if (!git_oid_is_zero(&fork))
		git_oid_cpy(base, &fork);
	return 0;
}

struct printer {
	struct buf text;
	size_t max;
	bool cut;
};

static int
on_line(const git_diff_delta *d, const git_diff_hunk *h, const git_diff_line *l, void *arg)
{
	struct printer *p = arg;
	bool sign = l->origin == GIT_DIFF_LINE_CONTEXT || l->origin == GIT_DIFF_LINE_ADDITION ||
		    l->origin == GIT_DIFF_LINE_DELETION;

	(void)d;
	(void)h;
	/* bytes that are no UTF-8 grow to three */
	if (p->text.len + 3 * l->content_len + 1 > p->max &&
	    p->text.len + l->content_len + 1 > p->max) {
		p->cut = true;
		return GIT_EUSER;
	}
	if (sign)
		buf_addc(&p->text, l->origin);
	text_add_utf8(&p->text, l->content, l->content_len, 3 * l->content_len);
	if (p->text.len > p->max) {
		p->cut = true;
		return GIT_EUSER;
	}
	return 0;
}

int
verb_diff(struct task *t, json_t *answer)
{
	const char *format = task_str_opt(t, "format", 16), *path = task_str_opt(t, "path", 4096);
	json_t *files = json_array();
	CLEAN_GIT(diff) git_diff *diff = NULL;
	struct printer p = {0};
	git_oid base, head;
	int64_t max;
	size_t n;

	json_object_set_new(answer, "files", files);
	if (task_failed(t) || !task_int(t, "max_bytes", PATCH_MAX, 0, 64 << 20, &max) ||
	    read_range(t, &base, &head) < 0 ||
	    diff_commits(t, repo_of(t), &base, &head, path, &diff) < 0)
		return -1;
	p.max = (size_t)max;
	n = git_diff_num_deltas(diff);
	for (size_t i = 0; i < n; i++) {
		const git_diff_delta *d = git_diff_get_delta(diff, i);
		size_t added, removed;
		bool binary;
		json_t *f;

		if (i >= FILES_MAX) {
			p.cut = true;
			break;
		}
		if (count_file(t, repo_of(t), diff, i, &added, &removed, &binary) < 0)
			return -1;
		f = json_object();
		json_object_set_new(f, "path", task_text(path_of(d), strlen(path_of(d)), 4096));
		json_object_set_new(f, "status", json_string(status_name(d->status)));
		json_object_set_new(f, "lines_added", json_integer((json_int_t)added));
		json_object_set_new(f, "lines_removed", json_integer((json_int_t)removed));
		json_object_set_new(f, "binary", json_boolean(binary));
		json_array_append_new(files, f);
	}
	if (format == NULL || strcmp(format, "stat") != 0) {
		int r = git_diff_print(diff, GIT_DIFF_FORMAT_PATCH, on_line, &p);

		if (r < 0 && !p.cut) {
			buf_free(&p.text);
			return repo_fail(t, "cannot print the patch");
		}
	}
	json_object_set_new(answer, "base_sha", repo_oid_json(&base));
	json_object_set_new(answer, "head_sha", repo_oid_json(&head));
	json_object_set_new(
	    answer, "patch", json_stringn_nocheck(p.text.p ? p.text.p : "", p.text.len));
	json_object_set_new(answer, "truncated", json_boolean(p.cut));
	buf_free(&p.text);
	return 0;
}

json_t *
diff_files(git_diff *diff)
{
	json_t *files = json_array();
	size_t n = git_diff_num_deltas(diff);

	for (size_t i = 0; i < n && i < FILES_MAX; i++) {
		const git_diff_delta *d = git_diff_get_delta(diff, i);
		json_t *f = json_object();

		json_object_set_new(f, "path", task_text(path_of(d), strlen(path_of(d)), 4096));
		json_object_set_new(f, "status", json_string(status_name(d->status)));
		json_array_append_new(files, f);
	}
	return files;
}

int
verb_changed(struct task *t, json_t *answer)
{
	CLEAN_GIT(diff) git_diff *diff = NULL;
	git_oid base, head;

	if (read_range(t, &base, &head) < 0 ||
	    diff_commits(t, repo_of(t), &base, &head, NULL, &diff) < 0)
		return -1;
	json_object_set_new(answer, "files", diff_files(diff));
	return 0;
}
