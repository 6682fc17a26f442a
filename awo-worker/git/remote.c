/* One conversation with the request's remote: credential, host check, and what went wrong in our
 * words. */
#include "awo-worker/git/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "awo-worker/git/sshkey.h"
#include "common/clean.h"
#include "common/files.h"

#define SAID_MAX 4096

static bool
is_ssh(const struct remote *r)
{
	return r->at.scheme == REPO_SSH;
}

static const char *
host_of(const struct remote *r)
{
	return r->at.scheme == REPO_FILE ? r->at.path : r->at.host_port;
}

/* The part of the credential that is a string; "" when it is missing. */
static const char *
credential(const struct remote *r, const char *key)
{
	const char *s =
	    json_string_value(json_object_get(json_object_get(r->t->req, "credential"), key));

	return s != NULL ? s : "";
}

static int
no_credential(struct remote *r)
{
	return TASK_FAIL(r->t, "git", "auth",
	    "%s asks for a credential and there is none for it; store one: awoctl credential set "
	    "NAME --host %s "
	    "--kind %s",
	    host_of(r), r->at.host, is_ssh(r) ? "ssh_key" : "github_token");
}

static int
refused(struct remote *r)
{
	const char *kind = credential(r, "kind");

	return TASK_FAIL(r->t, "git", "auth",
	    "the %s was refused by %s; see that it is right, not expired, and allowed for this "
	    "repository",
	    strcmp(kind, "ssh_key") == 0    ? "ssh key"
	    : strcmp(kind, "password") == 0 ? "password"
					    : "token",
	    host_of(r));
}

static int
on_credential(
    git_credential **out, const char *url, const char *user, unsigned allowed, void *payload)
{
	struct remote *r = payload;
	const char *kind = credential(r, "kind"), *secret = credential(r, "secret");
	const char *name = credential(r, "user");

	(void)url;
	if (is_ssh(r) && (allowed & GIT_CREDENTIAL_USERNAME))
		return git_credential_username_new(out, r->at.user[0] ? r->at.user : "git");
	if (*kind == '\0')
		return no_credential(r), GIT_EUSER;
	/* libgit2 would ask for ever. */
	if (r->asked++ > 0)
		return refused(r), GIT_EUSER;
	if (is_ssh(r)) {
		if (user == NULL)
			user = r->at.user[0] ? r->at.user : "git";
		if (strcmp(kind, "ssh_key") == 0 && (allowed & GIT_CREDENTIAL_SSH_MEMORY))
			return git_credential_ssh_key_memory_new(out, user, NULL, secret, NULL);
		if (strcmp(kind, "password") == 0 && (allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT))
			return git_credential_userpass_plaintext_new(out, user, secret);
	} else if (strcmp(kind, "ssh_key") != 0 && (allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT)) {
		return git_credential_userpass_plaintext_new(
		    out, *name ? name : "x-access-token", secret);
	}
	TASK_FAIL(r->t, "git", "auth",
	    "%s does not take a credential of the kind %s for this kind of address", host_of(r),
	    kind);
	return GIT_EUSER;
}

static int
on_certificate(git_cert *cert, int valid, const char *host, void *payload)
{
	struct remote *r = payload;
	CLEAN_BUF struct buf print = {0}, line = {0}, name = {0};
	git_cert_hostkey key;

	if (valid)
		return 0;
	if (cert->cert_type != GIT_CERT_HOSTKEY_LIBSSH2) {
		/* Kept before our text replaces it: why the chain was not believed. */
		const git_error *e = git_error_last();

		TASK_FAIL(r->t, "git", "host_key",
		    "the certificate of %s is not valid: %s. A private authority must be among the "
		    "host's trusted "
		    "certificates (/etc/ssl/certs)",
		    host, e != NULL && e->message != NULL ? e->message : "no reason given");
		return GIT_ECERTIFICATE;
	}
	/* A copy, because libgit2 hands its base type over. */
	memcpy(&key, cert, sizeof(key));
	if (r->at.port != 0)
		buf_printf(&name, "[%s]:%u", host, (unsigned)r->at.port);
	else
		buf_adds(&name, host);
	if (key.type & GIT_CERT_SSH_SHA256)
		sshkey_fingerprint(key.hash_sha256, &print);
	if (key.type & GIT_CERT_SSH_RAW)
		sshkey_line(name.p, key.hostkey, key.hostkey_len, &line);
	TASK_FAIL(r->t, "git", "host_key",
	    "the ssh host key of %s (%s) is not among git.known_hosts. When the fingerprint is the "
	    "one that its owner "
	    "publishes, add this line to the setting git.known_hosts: %s",
	    host, print.p ? print.p : "no fingerprint", line.p ? line.p : name.p);
	return GIT_ECERTIFICATE;
}

static int
on_said(const char *s, int len, void *payload)
{
	struct remote *r = payload;

	if (len > 0)
		buf_add(&r->said, s, (size_t)len);
	if (r->said.len > 2 * (size_t)SAID_MAX)
		buf_drain(&r->said, r->said.len - SAID_MAX);
	return 0;
}

static int
on_transfer(const git_indexer_progress *p, void *payload)
{
	((struct remote *)payload)->received = p->received_bytes;
	return 0;
}

/* A home with nothing but .ssh/known_hosts: libgit2 looks there, and knows hashed entries and
 * ports. */
static int
make_home(struct remote *r, const char *hosts)
{
	char dir[] = "/tmp/awo-git-XXXXXX";
	CLEAN_BUF struct buf sorted = {0};
	CLEAN_FD int fd = -1;

	if (mkdtemp(dir) == NULL)
		return TASK_FAIL(r->t, "internal", "other", "cannot make a directory in /tmp: %s",
		    strerror(errno));
	r->home = xstrdup(dir);
	sshkey_sort_hosts(hosts, &sorted);
	if ((fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
	    mkdirat(fd, ".ssh", 0700) < 0 ||
	    files_replace(fd, ".ssh/known_hosts", sorted.p ? sorted.p : "", sorted.len, 0600) < 0 ||
	    setenv("HOME", dir, 1) < 0)
		return TASK_FAIL(r->t, "internal", "other",
		    "cannot write known_hosts below /tmp: %s", strerror(errno));
	return 0;
}

static int
check_ssh_key(struct remote *r)
{
	static const char *const texts[] = {
	    [SSHKEY_RSA] =
		"is an RSA key; this version signs those with SHA-1, which servers refuse",
	    [SSHKEY_DSA] = "is a DSA key, which servers refuse",
	    [SSHKEY_LOCKED] = "is locked with a passphrase",
	    [SSHKEY_NONE] = "is no private key in PEM or OpenSSH form",
	};
	enum sshkey_kind kind;

	if (strcmp(credential(r, "kind"), "ssh_key") != 0)
		return 0;
	kind = sshkey_kind(credential(r, "secret"));
	if (kind == SSHKEY_USABLE)
		return 0;
	return TASK_FAIL(r->t, "git", "auth",
	    "the ssh key for %s %s. Store one made by: ssh-keygen -t ed25519 -N ''", host_of(r),
	    texts[kind]);
}

/* A local remote must be a repository by itself; the canonical form may have lost the .git of its
 * name. */
static int
find_local(struct remote *r)
{
	char *tries[2] = {xstrdup(r->at.path), xasprintf("%s.git", r->at.path)};
	int e = 0;

	for (size_t i = 0; i < 2 && r->address == NULL; i++) {
		struct stat st;

		if (stat(tries[i], &st) < 0) {
			if (e == 0)
				e = errno;
			continue;
		}
		e = -1;
		/* Its owner is whoever the administrator or the user let in; libgit2 runs nothing
		 * of it. */
		(void)git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
		if (git_repository_open_ext(NULL, tries[i], GIT_REPOSITORY_OPEN_NO_SEARCH, NULL) ==
		    0)
			r->address = xstrdup(tries[i]);
	}
	free(tries[0]);
	free(tries[1]);
	if (r->address != NULL)
		return 0;
	if (e == -1)
		return TASK_FAIL(
		    r->t, "git", "not_found", "%s is not a git repository", r->at.path);
	return TASK_FAIL(
	    r->t, "git", e == EACCES ? "auth" : "not_found", "%s: %s", r->at.path, strerror(e));
}

int
remote_open(struct remote *r, struct task *t, git_repository *repo)
{
	const char *url = task_str(t, "url", 2048),
		   *hosts = task_str_opt(t, "known_hosts", 4U << 20);
	struct awo_err err = {0};

	*r = (struct remote){.t = t};
	git_remote_init_callbacks(&r->callbacks, GIT_REMOTE_CALLBACKS_VERSION);
	r->callbacks.credentials = on_credential;
	r->callbacks.certificate_check = on_certificate;
	r->callbacks.sideband_progress = on_said;
	r->callbacks.transfer_progress = on_transfer;
	r->callbacks.payload = r;
	if (task_failed(t))
		return -1;
	if (repo_url_parse(url, &r->at, &err) < 0)
		return TASK_FAIL(t, "permanent", "invalid", "url: %s", err.msg);
	/* Nothing else of this user may read the secret out of this process. */
	if (*credential(r, "secret") != '\0')
		(void)prctl(PR_SET_DUMPABLE, 0);
	if (r->at.scheme == REPO_FILE) {
		if (find_local(r) < 0)
			return -1;
	} else {
		r->address = xstrdup(strstr(url, "://") != NULL ? url : r->at.canonical);
	}
	if (is_ssh(r) && (make_home(r, hosts != NULL ? hosts : "") < 0 || check_ssh_key(r) < 0))
		return -1;
	if ((repo != NULL ? git_remote_create_anonymous(&r->remote, repo, r->address)
			  : git_remote_create_detached(&r->remote, r->address)) < 0)
		return repo_fail(t, "url");
	return 0;
}

void
remote_close(struct remote *r)
{
	git_remote_free(r->remote);
	free(r->address);
	buf_free(&r->said);
	if (r->home != NULL)
		(void)files_remove_tree(AT_FDCWD, r->home, NULL);
	free(r->home);
	r->remote = NULL;
	r->address = r->home = NULL;
}

int
remote_connect(struct remote *r, git_direction direction)
{
	git_remote_connect_options o;
	int e;

	(void)git_remote_connect_options_init(&o, GIT_REMOTE_CONNECT_OPTIONS_VERSION);
	o.callbacks = r->callbacks;
	/* The credential goes to the host of the request and to no other. */
	o.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
	e = git_remote_connect_ext(r->remote, direction, &o);
	return e < 0 ? remote_fail(r, e) : 0;
}

/* Texts of libgit2 1.5, libssh2 and git servers, and what they mean. */
static const struct {
	const char *text, *category, *reason;
} meanings[] = {
    {"failed to resolve address", "transient", "unreachable"},
    {"failed to connect", "transient", "unreachable"},
    {"status code: 404", "git", "not_found"},
    {"status code: 403", "git", "auth"},
    {"status code: 408", "transient", "unreachable"},
    {"status code: 429", "transient", "unreachable"},
    {"status code: 5", "transient", "unreachable"},
    {"epository not found", "git", "not_found"},
    {"does not appear to be a git repository", "git", "not_found"},
    {"does not exist", "git", "not_found"},
    {"could not be found", "git", "not_found"},
    {"invalid content-type", "git", "not_found"},
    {"no content-type", "git", "not_found"},
    {"ermission denied", "git", "auth"},
    {"ermission to", "git", "auth"},
    {"marked as read only", "git", "auth"},
    {"uthentication failure", "git", "auth"},
    {"authentication required", "git", "auth"},
    {"Failed to authenticate", "git", "auth"},
    {"Unable to extract public key", "git", "auth"},
    {"cannot redirect from", "git", "not_found"},
    {"unexpected EOF", "transient", "unreachable"},
    {"early EOF", "transient", "unreachable"},
    {"stream ended at an unexpected time", "transient", "unreachable"},
    {"SSL error", "transient", "unreachable"},
    {"socket", "transient", "unreachable"},
    {"Socket", "transient", "unreachable"},
    {"onnection reset", "transient", "unreachable"},
    {"roken pipe", "transient", "unreachable"},
    {"timed out", "transient", "unreachable"},
    {"Failed getting banner", "transient", "unreachable"},
    {"No space left", "resource", "other"},
    {"quota exceeded", "resource", "other"},
    {"ut of memory", "resource", "other"},
};

int
remote_fail(struct remote *r, int code)
{
	const git_error *e = git_error_last();
	const char *msg = e != NULL && e->message != NULL ? e->message : "no reason given";
	const char *category = "git", *reason = "other";

	if (task_failed(r->t))
		return -1;
	if (code == GIT_EAUTH)
		return *credential(r, "kind") != '\0' ? refused(r) : no_credential(r);
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (strstr(msg, meanings[i].text) != NULL) {
			category = meanings[i].category;
			reason = meanings[i].reason;
			break;
		}
	}
	/* whom it does not trust and who does not let it in is known by now: the line is bad */
	if (e != NULL && (e->klass == GIT_ERROR_NET || e->klass == GIT_ERROR_SSH) &&
	    strcmp(reason, "other") == 0)
		category = "transient", reason = "unreachable";
	if (strcmp(reason, "not_found") == 0)
		return TASK_FAIL(r->t, category, reason, "there is no repository %s%s (%s)",
		    r->address,
		    *credential(r, "kind") != '\0'
			? ", or the credential may not see it"
			: ", or it needs a credential (awoctl credential set)",
		    msg);
	if (strcmp(reason, "auth") == 0 && r->at.scheme == REPO_FILE)
		return TASK_FAIL(r->t, category, reason,
		    "%s: %s; the user whose order this is must be allowed to read and write there", r->address,
		    msg);
	if (strcmp(reason, "auth") == 0 && *credential(r, "kind") == '\0')
		return no_credential(r);
	if (strcmp(reason, "auth") == 0)
		return TASK_FAIL(r->t, category, reason,
		    "%s: %s; see that the stored credential is right, not expired, and allowed to "
		    "do this",
		    r->address, msg);
	return TASK_FAIL(r->t, category, reason, "%s: %s", r->address, msg);
}

int
remote_heads(struct remote *r, const git_remote_head ***heads, size_t *n, size_t *branches)
{
	int e = git_remote_ls(heads, n, r->remote);

	*branches = 0;
	if (e < 0)
		return remote_fail(r, e);
	for (size_t i = 0; i < *n; i++)
		*branches += strncmp((*heads)[i]->name, "refs/heads/", 11) == 0;
	return 0;
}

bool
remote_has(struct remote *r, const char *ref, git_oid *out)
{
	const git_remote_head **heads;
	size_t n;

	if (git_remote_ls(&heads, &n, r->remote) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(heads[i]->name, ref) == 0) {
			if (out != NULL)
				git_oid_cpy(out, &heads[i]->oid);
			return true;
		}
	}
	return false;
}

char *
remote_default(struct remote *r)
{
	git_buf b = GIT_BUF_INIT;
	const git_remote_head **heads;
	char *name = NULL;
	size_t n, branches;

	if (git_remote_default_branch(&b, r->remote) == 0 &&
	    strncmp(b.ptr, "refs/heads/", 11) == 0 && remote_has(r, b.ptr, NULL))
		name = xstrdup(b.ptr + 11);
	git_buf_dispose(&b);
	/* HEAD of a new server often names a branch that nobody pushed: one branch alone leaves no
	 * doubt. */
	if (name == NULL && remote_heads(r, &heads, &n, &branches) == 0 && branches == 1) {
		for (size_t i = 0; i < n; i++) {
			if (strncmp(heads[i]->name, "refs/heads/", 11) == 0)
				name = xstrdup(heads[i]->name + 11);
		}
	}
	return name;
}
