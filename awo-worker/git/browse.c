/* Reads single files of a commit. */
#include "awo-worker/git/verbs.h"

#include <string.h>

#include "awo-worker/git/repo.h"

static int
find_entry(struct task *t, const char *path, git_tree **root, git_tree_entry **out)
{
	git_oid sha;
	int r;

	if (repo_oid_field(t, "sha", true, &sha) < 0 || repo_tree_at(t, repo_of(t), &sha, root) < 0)
		return -1;
	r = git_tree_entry_bypath(out, *root, path);
	if (r == GIT_ENOTFOUND)
		return TASK_FAIL(t, "git", "not_found", "path: %s is not in the commit", path);
	return r < 0 ? repo_fail(t, "cannot look a path up") : 0;
}

int
verb_show(struct task *t, json_t *answer)
{
	const char *path = task_str(t, "path", 4096);
	CLEAN_GIT(tree) git_tree *root = NULL;
	CLEAN_GIT(tree_entry) git_tree_entry *e = NULL;
	CLEAN_GIT(blob) git_blob *blob = NULL;
	git_object_size_t size;
	int64_t max;

	if (path == NULL || !task_int(t, "max_bytes", 1 << 20, 1, 64 << 20, &max) ||
	    find_entry(t, path, &root, &e) < 0)
		return -1;
	if (git_tree_entry_filemode(e) != GIT_FILEMODE_BLOB &&
	    git_tree_entry_filemode(e) != GIT_FILEMODE_BLOB_EXECUTABLE)
		return TASK_FAIL(t, "git", "invalid", "path: %s is no regular file", path);
	if (git_blob_lookup(&blob, repo_of(t), git_tree_entry_id(e)) < 0)
		return repo_fail(t, "cannot read the file");
	size = git_blob_rawsize(blob);
	if (size > (git_object_size_t)max)
		return TASK_FAIL(t, "git", "invalid",
		    "path: %s has %llu bytes, more than the %lld allowed", path,
		    (unsigned long long)size, (long long)max);
	json_object_set_new(answer, "size", json_integer((json_int_t)size));
	json_object_set_new(answer, "content",
	    task_text(git_blob_rawcontent(blob), (size_t)size, 3 * (size_t)size));
	return 0;
}
