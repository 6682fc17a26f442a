/* libgit2 for AWO: set-up without any configuration from outside, opening repositories, its errors
 * in our words. */
#ifndef GIT_REPO_H
#define GIT_REPO_H

#include <git2.h>
#include <stdbool.h>

#include "awo-worker/task/task.h"

#define REPO_SHA_MAX 64
#define REPO_BRANCH_MAX 255

/* Bits of a verb's needs. */
#define NEED_URL 0x1U	/* url, credential, known_hosts */
#define NEED_CLEAN 0x2U /* clean_dir: an existing clean repository, opened as git_state.repo */
#define NEED_TREE 0x4U	/* the current directory is a work tree, opened as git_state.repo */

/* The task's own state, in task.state. */
struct git_state {
	git_repository *repo;
};

/* Frees what libgit2 gave, NULL accepted; for locals. */
/* a type's name cannot stand in parentheses; NOLINTBEGIN(bugprone-macro-parentheses) */
/* clang-format off */
#define REPO_CLEAN(type, name, call)                                                               \
	static inline void repo_clean_##name(type **p) { if (*p != NULL) call(*p); }
REPO_CLEAN(git_repository, repository, git_repository_free)
REPO_CLEAN(git_reference, reference, git_reference_free)
REPO_CLEAN(git_object, object, git_object_free)
REPO_CLEAN(git_commit, commit, git_commit_free)
REPO_CLEAN(git_tree, tree, git_tree_free)
REPO_CLEAN(git_tree_entry, tree_entry, git_tree_entry_free)
REPO_CLEAN(git_blob, blob, git_blob_free)
REPO_CLEAN(git_revwalk, revwalk, git_revwalk_free)
REPO_CLEAN(git_diff, diff, git_diff_free)
REPO_CLEAN(git_odb, odb, git_odb_free)
REPO_CLEAN(git_index, index, git_index_free)
REPO_CLEAN(git_signature, signature, git_signature_free)
REPO_CLEAN(git_config, config, git_config_free)
REPO_CLEAN(git_packbuilder, packbuilder, git_packbuilder_free)
/* clang-format on */
/* NOLINTEND(bugprone-macro-parentheses) */
#define CLEAN_GIT(name) __attribute__((cleanup(repo_clean_##name)))

/* Starts libgit2 before there is a request: for a task that needs no certificates. -1 when it does not start. */
int repo_ready(void);
/*
 * Starts libgit2: no system, user or programdata configuration, no templates, strict object
 * creation, and no environment but what the caller sets afterwards. -1 with t->err.
 */
int repo_start(struct task *t);
/*
 * Opens the bare repository at path, or the work tree in it, without looking into parent
 * directories. Checks that it belongs to this user unless foreign (a cache or a local remote, which
 * others keep).
 */
int repo_open(struct task *t, const char *path, bool bare, bool foreign, git_repository **out);

/* The work tree in the current directory, as an agent may have left it. */
int repo_open_tree(struct task *t, git_repository **out);
/* Removes everything in a directory, the directory stays; made when missing. */
int repo_empty_dir(struct task *t, const char *path);

/* libgit2's last error as ours: "<what>: <its text>". Returns -1. */
int repo_fail(struct task *t, const char *what);

/* A commit's name in a field of the request. Optional ones that are missing leave *out zero and
 * return 0. */
int repo_oid_field(struct task *t, const char *key, bool required, git_oid *out);
json_t *repo_oid_json(const git_oid *oid); /* null for zero */
/* Branch names: as git allows, and no longer than REPO_BRANCH_MAX. */
bool repo_branch_ok(const char *name);
/* The tree of a commit. */
int repo_tree_at(struct task *t, git_repository *repo, const git_oid *commit, git_tree **out);
/* merge-base(base, head); zero when they share no history. */
int repo_merge_base(
    struct task *t, git_repository *repo, const git_oid *base, const git_oid *head, git_oid *out);

static inline git_repository *
repo_of(const struct task *t)
{
	return ((const struct git_state *)t->state)->repo;
}

#endif
