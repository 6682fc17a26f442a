/* One conversation with the request's remote: credential, host check, and what went wrong in our
 * words. */
#ifndef GIT_REMOTE_H
#define GIT_REMOTE_H

#include "awo-worker/git/repo.h"
#include "common/buf.h"
#include "common/repo_url.h"

struct remote {
	struct task *t;
	struct repo_url at; /* the url field, parsed */
	char *address;	    /* what libgit2 gets: a URL, or a path */
	git_remote *remote;
	git_remote_callbacks callbacks;
	struct buf said;   /* the end of what the remote's programs printed */
	unsigned asked;	   /* how often it wanted a credential */
	char *home;	   /* directory with .ssh/known_hosts, removed at the end */
	uint64_t received; /* bytes of packs */
};

/*
 * Prepares for the request's url; repo may be NULL (verify). remote_close() undoes it, half-built
 * too. Returns -1 with t->err.
 */
int remote_open(struct remote *r, struct task *t, git_repository *repo);
void remote_close(struct remote *r);
int remote_connect(struct remote *r, git_direction direction);
/* libgit2's last error (code: what it returned) as the task's; returns -1. An error set by a
 * callback is kept. */
int remote_fail(struct remote *r, int code);
/* Whether the remote has the ref, and its value. */
bool remote_has(struct remote *r, const char *ref, git_oid *out);
/* Heads of the remote, how many of them; -1 with t->err. */
int remote_heads(struct remote *r, const git_remote_head ***heads, size_t *n, size_t *branches);
/* The branch that the remote's HEAD names and that exists, without refs/heads/; NULL when there is
 * none. Caller frees. */
char *remote_default(struct remote *r);

#endif
