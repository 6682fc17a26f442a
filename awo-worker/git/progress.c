/* What git says about an order's branch: numbers and phases. */
#include "awo-worker/git/verbs.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "awo-worker/git/diff.h"
#include "awo-worker/git/history.h"
#include "common/clock.h"

#define HISTORY_MAX 10000
#define TREE_CACHED_MAX (1U << 20)
#define HEAP_ROOM ((size_t)28 << 20) /* libgit2 keeps 16 MiB of what packs hold, and trees */
#define MMAP_MIN (32 << 20)	     /* the most that malloc allows */
#define HUGE_PAGE ((uintptr_t)2 << 20)

struct stretch {
	struct task *t;
	git_repository *repo;
	json_t *history; /* phase_entry objects */
	json_t *last;	 /* borrowed: the newest of them */
	enum phase phase;
	int64_t n; /* commits of the newest */
	int64_t total;
};

static json_t *
time_json(int64_t us)
{
	char text[CLOCK_TEXT];

	return json_string(clock_format(us, text));
}

static int
on_commit(git_commit *c, void *arg)
{
	struct stretch *s = arg;
	int64_t when = (int64_t)git_commit_time(c);
	enum phase p;

	s->total++;
	if (history_phase(s->t, s->repo, c, s->phase, &p) < 0)
		return -1;
	/* an agent writes any time that it likes */
	if (when < 0 || when > INT64_C(253402300799))
		when = 0;
	if (p != s->phase && json_array_size(s->history) < HISTORY_MAX) {
		json_t *next = json_object();

		if (s->last != NULL)
			json_object_set_new(s->last, "completed_at", time_json(when * 1000000));
		json_object_set_new(next, "phase", json_string(phase_name(p)));
		json_object_set_new(next, "started_at", time_json(when * 1000000));
		json_object_set_new(next, "completed_at", json_null());
		json_array_append_new(s->history, next);
		s->last = next;
		s->n = 0;
	}
	s->phase = p;
	json_object_set_new(s->last, "commits", json_integer(++s->n));
	return 0;
}

/* head: a commit's name, or else refs/awo/head; zero when there is no such reference yet. */
static int
find_head(struct task *t, git_oid *out)
{
	int r;

	if (repo_oid_field(t, "head", false, out) < 0)
		return -1;
	if (!git_oid_is_zero(out))
		return 0;
	r = git_reference_name_to_id(out, repo_of(t), "refs/awo/head");
	if (r == GIT_ENOTFOUND)
		memset(out, 0, sizeof(*out));
	return r < 0 && r != GIT_ENOTFOUND ? repo_fail(t, "cannot read refs/awo/head") : 0;
}

/*
 * Large trees come out of a pack through many versions of them, each a piece of memory that is new to the process: faults
 * of single pages take as long as all the rest. What the heap grows into is asked for in large pages, and never given back.
 */
static void
make_room(void)
{
	void *p;
	uintptr_t from;

	(void)mallopt(M_MMAP_THRESHOLD, MMAP_MIN);
	(void)mallopt(M_TRIM_THRESHOLD, INT32_MAX);
	if ((p = malloc(HEAP_ROOM)) == NULL)
		return;
	from = ((uintptr_t)p + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1);
	/* a kernel that has none gives others */
	(void)madvise((char *)p + (from - (uintptr_t)p), HEAP_ROOM - HUGE_PAGE, MADV_HUGEPAGE);
	free(p);
}

int
verb_progress(struct task *t, json_t *answer)
{
	const char *branch = task_str_opt(t, "branch", REPO_BRANCH_MAX);
	struct stretch s = {.t = t, .repo = repo_of(t), .history = json_array()};
	CLEAN_GIT(commit) git_commit *tip = NULL;
	CLEAN_GIT(diff) git_diff *diff = NULL;
	struct diff_totals n = {0};
	git_oid base, head, fork;
	const char *msg = NULL;

	json_object_set_new(answer, "phase_history", s.history);
	if (task_failed(t) || repo_oid_field(t, "base_sha", true, &base) < 0 ||
	    find_head(t, &head) < 0)
		return -1;
	make_room();
	/* Every object got its name when it was taken in; hashing all of them again is half of the work. */
	(void)git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);
	/* Each tree is looked at as a commit's and as its child's parent's; libgit2 forgets those of more than 4 KiB. */
	(void)git_libgit2_opts(GIT_OPT_SET_CACHE_OBJECT_LIMIT, (int)GIT_OBJECT_TREE, (size_t)TREE_CACHED_MAX);
	if (!git_oid_is_zero(&head)) {
		if (repo_merge_base(t, s.repo, &base, &head, &fork) < 0 ||
		    history_each(t, s.repo, &head, &base, 1, on_commit, &s) < 0 ||
		    diff_commits(t, s.repo, git_oid_is_zero(&fork) ? &base : &fork, &head, NULL,
			&diff) < 0 ||
		    diff_count(t, s.repo, diff, &n) < 0)
			return -1;
		if (git_commit_lookup(&tip, s.repo, &head) < 0)
			return repo_fail(t, "cannot read the branch's tip");
		msg = git_commit_message(tip);
	}
	json_object_set_new(answer, "current_phase",
	    s.phase != PHASE_NONE ? json_string(phase_name(s.phase)) : json_null());
	json_object_set_new(
	    answer, "git_branch_name", branch != NULL ? json_string(branch) : json_null());
	json_object_set_new(answer, "git_commit_count", json_integer(s.total));
	json_object_set_new(answer, "git_files_changed", json_integer(n.files));
	json_object_set_new(answer, "git_lines_added", json_integer(n.added));
	json_object_set_new(answer, "git_lines_removed", json_integer(n.removed));
	json_object_set_new(answer, "latest_commit_message",
	    msg != NULL ? task_text(msg, strlen(msg), 8192) : json_null());
	json_object_set_new(answer, "latest_commit_sha", repo_oid_json(&head));
	json_object_set_new(answer, "snapshot_timestamp", time_json(clock_wall_us()));
	return 0;
}
