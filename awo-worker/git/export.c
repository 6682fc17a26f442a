/* Hands out the objects that the other side of a look into a work tree lacks. */
#include "awo-worker/git/export.h"

#include <errno.h>
#include <string.h>

#include "common/files.h"

#define PACK_FD 3
#define HAVE_MAX 10000

static int
on_chunk(void *p, size_t n, void *arg)
{
	(void)arg;
	return files_write_all(PACK_FD, p, n) < 0 ? GIT_EUSER : 0;
}

/* Hides what the other side has; a commit that this repository does not know cannot be in the way.
 */
static int
hide_have(struct task *t, git_revwalk *walk, const git_oid *head, bool *nothing)
{
	json_t *have = json_object_get(t->req, "have"), *v;
	git_oid oid;
	size_t i;

	if (have != NULL && !json_is_array(have))
		return TASK_FAIL(t, "internal", "invalid", "have: must be a list of commits");
	if (json_array_size(have) > HAVE_MAX)
		return TASK_FAIL(t, "internal", "invalid", "have: more than %d commits", HAVE_MAX);
	json_array_foreach(have, i, v)
	{
		if (!json_is_string(v) || git_oid_fromstr(&oid, json_string_value(v)) < 0)
			return TASK_FAIL(
			    t, "internal", "invalid", "have: not the name of a commit");
		if (git_oid_equal(&oid, head))
			*nothing = true;
		(void)git_revwalk_hide(walk, &oid);
	}
	return 0;
}

int
export_pack(struct task *t, json_t *answer, const git_oid *head)
{
	CLEAN_GIT(revwalk) git_revwalk *walk = NULL, *count = NULL;
	CLEAN_GIT(packbuilder) git_packbuilder *pb = NULL;
	bool nothing = false;
	int64_t commits = 0;
	git_oid oid;
	int r;

	/* Two walks: the packbuilder uses one up. */
	if (git_revwalk_new(&walk, repo_of(t)) < 0 || git_revwalk_new(&count, repo_of(t)) < 0 ||
	    git_revwalk_push(walk, head) < 0 || git_revwalk_push(count, head) < 0)
		return repo_fail(t, "cannot walk the agent's commits");
	if (hide_have(t, walk, head, &nothing) < 0 || hide_have(t, count, head, &nothing) < 0)
		return -1;
	while (!nothing && (r = git_revwalk_next(&oid, count)) == 0)
		commits++;
	if (!nothing && r != GIT_ITEROVER)
		return repo_fail(t, "cannot walk the agent's commits");
	json_object_set_new(answer, "commits", json_integer(commits));
	if (commits == 0)
		return 0;
	if (git_packbuilder_new(&pb, repo_of(t)) < 0)
		return repo_fail(t, "cannot make a pack");
	(void)git_packbuilder_set_threads(pb, 1);
	if (git_packbuilder_insert_walk(pb, walk) < 0)
		return repo_fail(t, "cannot collect the agent's objects");
	/* The reader knows what comes before it comes; a pack that breaks off is refused by the
	 * import. */
	if (task_answer(t, answer) < 0)
		return TASK_FAIL(t, "internal", "other", "cannot answer: %s", strerror(errno));
	return git_packbuilder_foreach(pb, on_chunk, NULL) < 0
		   ? repo_fail(t, "cannot write the pack")
		   : 0;
}
