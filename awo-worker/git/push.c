/* Pushes an order's commit to a branch of its remote, never over anybody else's work. */
#include "awo-worker/git/verbs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "awo-worker/git/remote.h"
#include "common/clean.h"

#define SUFFIX_MAX 99
#define ROUNDS 3 /* looks at a remote whose branches change meanwhile */

struct push {
	struct remote r;
	struct task *t;
	git_oid sha, expected; /* expected: the remote's old value, zero when it must have none */
	char *branch;	       /* that is pushed to */
	char *refusal;	       /* of the remote's hooks, its own text */
	bool moved;	       /* the remote's branch is not what was seen before */
};

/* The callbacks' payload is the conversation, which is the push's first member. */
static struct push *
of_payload(void *payload)
{
	_Static_assert(offsetof(struct push, r) == 0, "the conversation comes first");
	return payload;
}

static int
on_negotiation(const git_push_update **updates, size_t n, void *payload)
{
	struct push *p = of_payload(payload);

	/* the last look before objects are sent */
	if (n == 1 && git_oid_equal(&updates[0]->src, &p->expected))
		return 0;
	p->moved = true;
	return GIT_EUSER;
}

static int
on_update(const char *ref, const char *status, void *payload)
{
	struct push *p = of_payload(payload);

	(void)ref;
	if (status != NULL && p->refusal == NULL)
		p->refusal = xstrdup(status);
	return 0;
}

/* Whether a branch of this name can be made beside the remote's others; names the one in the way.
 */
static bool
collides(struct push *p, const char *ref, const char **with)
{
	const git_remote_head **heads;
	size_t n, len = strlen(ref);

	*with = NULL;
	if (git_remote_ls(&heads, &n, p->r.remote) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *name = heads[i]->name;
		size_t l = strlen(name);

		if ((l < len && strncmp(ref, name, l) == 0 && ref[l] == '/') ||
		    (l > len && strncmp(name, ref, len) == 0 && name[len] == '/')) {
			*with = name;
			return true;
		}
	}
	return false;
}

/*
 * Finds the name to push to: the asked one when the remote has what the caller expects there (or
 * our commit already, of a push whose answer was lost), else one with a suffix. 1: nothing is left
 * to push.
 */
static int
choose(struct push *p, const char *branch, bool suffix)
{
	for (unsigned i = 1; i <= SUFFIX_MAX; i++) {
		CLEAN_FREE char *name = i == 1 ? xstrdup(branch) : xasprintf("%s-%u", branch, i);
		CLEAN_FREE char *ref = xasprintf("refs/heads/%s", name);
		const char *with;
		git_oid there = {{0}};
		bool has = remote_has(&p->r, ref, &there);

		if (has && git_oid_equal(&there, &p->sha)) {
			p->branch = TAKE_PTR(name);
			return 1;
		}
		if (!has && collides(p, ref, &with) &&
		    (i == SUFFIX_MAX || !suffix || strlen(with) < strlen(ref)))
			return TASK_FAIL(p->t, "git", "conflict",
			    "the branch %s cannot be made: the remote has %s, and one name cannot "
			    "be both a branch and "
			    "a directory of branches",
			    name, with);
		if (!has && with == NULL && (i > 1 || git_oid_is_zero(&p->expected))) {
			memset(&p->expected, 0, sizeof(p->expected));
			p->branch = TAKE_PTR(name);
			return 0;
		}
		if (i == 1 && has && !git_oid_is_zero(&p->expected) &&
		    git_oid_equal(&there, &p->expected)) {
			p->branch = TAKE_PTR(name);
			return 0;
		}
		/* A branch of our own that somebody removed or moved: saying so beats making a
		 * second one. */
		if (i == 1 && !git_oid_is_zero(&p->expected))
			return TASK_FAIL(p->t, "git", "conflict",
			    has ? "the branch %s was changed on the remote since the order pushed "
				  "it; its work was not "
				  "overwritten"
				: "the branch %s was removed on the remote since the order pushed "
				  "it",
			    name);
		if (!suffix)
			return TASK_FAIL(p->t, "git", "conflict",
			    "the branch %s is on the remote already and was not made by this order",
			    name);
	}
	return TASK_FAIL(p->t, "git", "conflict",
	    "the remote has %s and every name with a suffix up to -%d", branch, SUFFIX_MAX);
}

/* The remote's own words, without its "remote: " and line ends. */
static int
refused(struct push *p)
{
	CLEAN_BUF struct buf said = {0};
	const char *s = p->r.said.p != NULL ? p->r.said.p : "";
	bool moved;

	for (; *s != '\0'; s++)
		buf_addc(&said, *s == '\n' || *s == '\r' ? ' ' : *s);
	while (said.len > 0 && said.p[said.len - 1] == ' ')
		said.p[--said.len] = '\0';
	moved = strstr(p->refusal, "fetch first") != NULL ||
		strstr(p->refusal, "non-fast-forward") != NULL ||
		strstr(p->refusal, "lock") != NULL ||
		strstr(p->refusal, "failed to update ref") != NULL ||
		strstr(p->refusal, "already exists") != NULL;
	return TASK_FAIL(p->t, "git", moved ? "conflict" : "protected",
	    "the remote refused the branch %s: %s%s%s", p->branch, p->refusal,
	    said.len > 0 ? ": " : "", said.p != NULL ? said.p : "");
}

static int
fail(struct push *p, int code)
{
	if (p->refusal != NULL)
		return refused(p);
	if (p->moved || code == GIT_ENONFASTFORWARD)
		return TASK_FAIL(p->t, "git", "conflict",
		    "the branch %s has commits on the remote that the order does not know; they "
		    "were not overwritten",
		    p->branch);
	return remote_fail(&p->r, code);
}

/*
 * libgit2 pays no heed to core.sharedRepository, but every order pushes under a uid of its own:
 * without this the second one could not make a reference beside that of the first.
 */
static void
share_as_configured(const struct push *p)
{
	CLEAN_FREE char *path = xasprintf("%s/config", p->r.at.path);
	CLEAN_GIT(config) git_config *config = NULL;
	CLEAN_GIT(config) git_config *snapshot = NULL;
	const char *value = NULL;
	mode_t mask;
	int on = 0;

	if (p->r.at.scheme != REPO_FILE || git_config_open_ondisk(&config, path) < 0 ||
	    git_config_snapshot(&snapshot, config) < 0 ||
	    git_config_get_string(&value, snapshot, "core.sharedrepository") < 0)
		return;
	if (value[0] == '0' && value[1] != '\0') {
		/* the mode of files; directories can be entered by whoever may read */
		mask = (mode_t)~strtoul(value, NULL, 8) & 066;
		umask(mask | (mask & 044) >> 2);
	} else if (strcmp(value, "all") == 0 || strcmp(value, "world") == 0 ||
		   strcmp(value, "everybody") == 0 || strcmp(value, "2") == 0)
		umask(0);
	else if (strcmp(value, "group") == 0 || (git_config_parse_bool(&on, value) == 0 && on))
		umask(0007);
}

/* The indexer counts over all pieces of a pack. */
struct pack_copy {
	git_odb_writepack *w;
	git_indexer_progress stats;
};

static int
write_pack(void *buf, size_t size, void *payload)
{
	struct pack_copy *c = payload;

	return c->w->append(c->w, buf, size, &c->stats);
}

/* The objects that the other repository lacks, as a pack of its own. */
static int
copy_objects(struct push *p, git_repository *to)
{
	struct pack_copy c = {0};
	CLEAN_GIT(packbuilder) git_packbuilder *pack = NULL;
	CLEAN_GIT(revwalk) git_revwalk *walk = NULL;
	CLEAN_GIT(odb) git_odb *odb = NULL;
	const git_remote_head **heads;
	size_t n = 0;
	int e;

	if (git_revwalk_new(&walk, repo_of(p->t)) < 0 || git_revwalk_push(walk, &p->sha) < 0 ||
	    git_remote_ls(&heads, &n, p->r.remote) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		(void)git_revwalk_hide(
		    walk, &heads[i]->oid); /* what only the remote has hides nothing */
	if (git_packbuilder_new(&pack, repo_of(p->t)) < 0 ||
	    git_packbuilder_insert_walk(pack, walk) < 0)
		return -1;
	if (git_packbuilder_object_count(pack) == 0)
		return 0;
	if (git_repository_odb(&odb, to) < 0 || git_odb_write_pack(&c.w, odb, NULL, NULL) < 0)
		return -1;
	e = git_packbuilder_foreach(pack, write_pack, &c);
	if (e == 0)
		e = c.w->commit(c.w, &c.stats);
	c.w->free(c.w);
	return e;
}

/*
 * A local repository with a work tree, which libgit2 does not push to. A branch that nobody has
 * checked out can be made or moved there without touching anybody's files, as git itself would.
 */
static int
send_beside_work_tree(struct push *p, git_repository *to)
{
	CLEAN_FREE char *name = xasprintf("refs/heads/%s", p->branch);
	CLEAN_GIT(reference) git_reference *old = NULL;
	CLEAN_GIT(reference) git_reference *ref = NULL;
	bool fresh = git_oid_is_zero(&p->expected);
	int e;

	if (git_reference_lookup(&old, to, name) == 0 && git_branch_is_checked_out(old) == 1)
		return TASK_FAIL(p->t, "git", "protected",
		    "the branch %s is checked out in %s: pushing to it would change somebody's "
		    "work tree",
		    p->branch, p->r.at.path);
	if (!fresh && git_graph_descendant_of(repo_of(p->t), &p->sha, &p->expected) != 1)
		return fail(p, GIT_ENONFASTFORWARD);
	if (copy_objects(p, to) < 0)
		return repo_fail(p->t, "cannot copy the commits to the local repository");
	e = git_reference_create_matching(
	    &ref, to, name, &p->sha, !fresh, fresh ? NULL : &p->expected, "push");
	if (e == GIT_EEXISTS || e == GIT_EMODIFIED)
		return fail(p, GIT_ENONFASTFORWARD);
	return e < 0 ? repo_fail(p->t, "cannot make the branch in the local repository") : 0;
}

static int
send(struct push *p)
{
	CLEAN_GIT(repository) git_repository *local = NULL;

	CLEAN_FREE char *src = xasprintf("refs/awo/push/%s", p->branch);
	CLEAN_FREE char *spec = xasprintf("%s:refs/heads/%s", src, p->branch);
	CLEAN_GIT(reference) git_reference *ref = NULL;
	const git_strarray specs = {&spec, 1};
	git_push_options o;
	int e;

	share_as_configured(p);
	if (p->r.at.scheme == REPO_FILE) {
		if (git_repository_open_ext(
			&local, p->r.at.path, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL) < 0)
			return repo_fail(p->t, "cannot open the local repository");
		if (!git_repository_is_bare(local))
			return send_beside_work_tree(p, local);
	}
	if (git_reference_create(&ref, repo_of(p->t), src, &p->sha, 1, NULL) < 0)
		return repo_fail(p->t, "cannot make the reference to push from");
	(void)git_push_options_init(&o, GIT_PUSH_OPTIONS_VERSION);
	o.callbacks = p->r.callbacks;
	o.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
	o.pb_parallelism = 1;
	e = git_remote_upload(p->r.remote, &specs, &o);
	if (e < 0)
		fail(p, e);
	(void)git_reference_delete(ref);
	if (e < 0)
		return -1;
	return p->refusal != NULL ? refused(p) : 0;
}

static int
push(struct push *p, const char *branch, json_t *answer)
{
	bool fresh;
	int r;

	if (remote_open(&p->r, p->t, repo_of(p->t)) < 0)
		return -1;
	p->r.callbacks.push_negotiation = on_negotiation;
	p->r.callbacks.push_update_reference = on_update;
	if (remote_connect(&p->r, GIT_DIRECTION_PUSH) < 0 ||
	    (r = choose(p, branch, task_bool(p->t, "suffix_on_conflict", false))) < 0)
		return -1;
	fresh = r == 0 && git_oid_is_zero(&p->expected);
	if (r == 0 && send(p) < 0)
		return -1;
	json_object_set_new(answer, "branch", json_string(p->branch));
	json_object_set_new(answer, "sha", repo_oid_json(&p->sha));
	json_object_set_new(answer, "created", json_boolean(fresh));
	return 0;
}

int
verb_push(struct task *t, json_t *answer)
{
	const char *branch = task_str(t, "branch", REPO_BRANCH_MAX);
	CLEAN_GIT(commit) git_commit *c = NULL;
	struct push p = {.t = t};
	git_oid expected = {{0}};
	int rc;

	if (branch == NULL || repo_oid_field(t, "sha", true, &p.sha) < 0 ||
	    repo_oid_field(t, "expected", false, &expected) < 0)
		return -1;
	if (!repo_branch_ok(branch))
		return TASK_FAIL(t, "git", "invalid", "branch: %s is no name of a branch", branch);
	if (git_commit_lookup(&c, repo_of(t), &p.sha) < 0)
		return TASK_FAIL(
		    t, "git", "not_found", "sha: the clean repository has no such commit");
	for (int round = 1;; round++) {
		p = (struct push){.t = t, .sha = p.sha, .expected = expected};
		rc = push(&p, branch, answer);
		remote_close(&p.r);
		free(p.branch);
		free(p.refusal);
		if (rc == 0 || round == ROUNDS || strcmp(t->err.reason, "conflict") != 0 ||
		    !git_oid_is_zero(&expected))
			return rc;
		/* somebody made that branch after the look at the remote: the next look finds it */
		t->err = (struct task_err){0};
	}
}
