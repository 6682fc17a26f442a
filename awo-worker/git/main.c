/* awo-git: one git task a run. Everything that touches a repository happens here and nowhere else.
 */
#include "awo-worker/git/repo.h"
#include "awo-worker/git/verbs.h"

#include <unistd.h>

#define X(fn, name, needs, seconds) {name, needs, verb_##fn, seconds},
static const struct task_verb verbs[] = {GIT_VERBS(X)};
#undef X

static int
prepare(struct task *t)
{
	static struct git_state state;
	const char *dir;

	t->state = &state;
	if (repo_start(t) < 0)
		return -1;
	if (t->needs & NEED_CLEAN) {
		if ((dir = task_str(t, "clean_dir", 4096)) == NULL)
			return -1;
		return repo_open(t, dir, true, false, &state.repo);
	}
	if (t->needs & NEED_TREE)
		return repo_open_tree(t, &state.repo);
	return 0;
}

int
main(int argc, char **argv)
{
	static const struct task_program program = {"awo-git", verbs,
	    sizeof(verbs) / sizeof(verbs[0]), repo_ready, prepare, "transient",
	    "the repository is too large for git.timeout_seconds, or its host too slow"};

	/* No tidying: the process ends, and libgit2 loses memory on some of its error paths. */
	_exit(task_main(&program, argc, argv));
}
