/* Who is at the other end of a connection, as the kernel and /etc say. */
#include "awod/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"
#include "common/log.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

#define NAMES_FILE_MAX (8U << 20)
#define GROUPS_MAX 65536 /* the kernel's own limit */

struct entry {
	char *name;
	uint32_t id;
	char *more; /* passwd: the first group; group: its members, joined by ',' */
};

/* One file of names: passwd and group have name, id, and what groups need in the same places. */
struct table {
	char *path;
	struct timespec mtime;
	ino_t ino;
	off_t size;
	struct entry *v;
	size_t n;
};

struct names {
	struct table passwd, group;
};

static void
table_clear(struct table *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->v[i].name); /* NOLINT(clang-analyzer-core.NullDereference): n is 0 without v */
		free(t->v[i].more);
	}
	free(t->v);
	t->v = NULL;
	t->n = 0;
}

static bool
parse_id(const char *text, uint32_t *id)
{
	unsigned long long v;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno != 0 || *end != '\0' || v >= UINT32_MAX)
		return false;
	*id = (uint32_t)v;
	return true;
}

/* name:password:id:... */
static void
table_line(struct table *t, char *line)
{
	char *fields[4], *next = line;
	uint32_t id;

	for (int i = 0; i < 4; i++) {
		fields[i] = strsep(&next, ":");
		if (i < 3 && fields[i] == NULL)
			return;
	}
	if (fields[0][0] == '\0' || !parse_id(fields[2], &id))
		return;
	t->v = xrealloc(t->v, t->n + 1, sizeof(*t->v));
	t->v[t->n++] =
	    (struct entry){.name = xstrdup(fields[0]), .id = id, .more = xstrdup(fields[3] != NULL ? fields[3] : "")};
}

/* Reads the file again when it is another one than before. A file that cannot be read keeps the old
 * names. */
static void
table_refresh(struct table *t)
{
	CLEAN_FREE char *text = NULL;
	char *line, *next;
	struct stat st;

	if (stat(t->path, &st) != 0)
		return;
	if (t->v != NULL && st.st_mtim.tv_sec == t->mtime.tv_sec &&
	    st.st_mtim.tv_nsec == t->mtime.tv_nsec && st.st_ino == t->ino && st.st_size == t->size)
		return;
	text = files_read(AT_FDCWD, t->path, NAMES_FILE_MAX, NULL);
	if (text == NULL) {
		log_warning("names_read_failed", LS("path", t->path), LS("error", strerror(errno)));
		return;
	}
	table_clear(t);
	next = text;
	while ((line = strsep(&next, "\n")) != NULL)
		table_line(t, line);
	t->mtime = st.st_mtim;
	t->ino = st.st_ino;
	t->size = st.st_size;
}

static const char *
table_name(struct table *t, uint32_t id)
{
	table_refresh(t);
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].id == id)
			return t->v[i].name;
	return NULL;
}

static bool
table_id(struct table *t, const char *name, uint32_t *id)
{
	table_refresh(t);
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->v[i].name, name) == 0) {
			*id = t->v[i].id;
			return true;
		}
	return parse_id(name, id);
}

struct names *
names_open(const char *passwd_path, const char *group_path)
{
	struct names *n = xcalloc(1, sizeof(*n));

	n->passwd.path = xstrdup(passwd_path);
	n->group.path = xstrdup(group_path);
	return n;
}

void
names_close(struct names *n)
{
	if (n == NULL)
		return;
	table_clear(&n->passwd);
	table_clear(&n->group);
	free(n->passwd.path);
	free(n->group.path);
	free(n);
}

const char *
names_user(struct names *n, uid_t uid)
{
	return table_name(&n->passwd, uid);
}

bool
names_uid(struct names *n, const char *user, uid_t *uid)
{
	return table_id(&n->passwd, user, uid);
}

bool
names_gid(struct names *n, const char *group, gid_t *gid)
{
	return table_id(&n->group, group, gid);
}

static const struct entry *
table_find(struct table *t, uint32_t id)
{
	table_refresh(t);
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].id == id)
			return &t->v[i];
	return NULL;
}

/* Whether the files say that a user is in a group. */
static bool
is_member(struct names *n, uid_t uid, gid_t gid)
{
	const struct entry *user = table_find(&n->passwd, uid);
	const struct entry *group;
	uint32_t first;
	size_t len;

	if (user == NULL)
		return false;
	if (parse_id(user->more, &first) && first == gid)
		return true;
	group = table_find(&n->group, gid);
	for (const char *p = group != NULL ? group->more : ""; *p != '\0'; p += len, p += *p == ',') {
		len = strcspn(p, ",");
		if (len == strlen(user->name) && memcmp(p, user->name, len) == 0)
			return true;
	}
	return false;
}

/* Whether the peer had the group when it connected. */
static bool
peer_has_group(int fd, const struct ucred *cred, gid_t gid)
{
	socklen_t len = 64 * sizeof(gid_t);
	CLEAN_FREE gid_t *groups = NULL;

	if (cred->gid == gid)
		return true;
	for (int tries = 0; tries < 2; tries++) {
		groups = xrealloc(groups, 1, len > 0 ? len : sizeof(gid_t));
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0) {
			for (size_t i = 0; i < len / sizeof(gid_t); i++)
				if (groups[i] == gid)
					return true;
			return false;
		}
		/* the kernel has put the size that it needs into len */
		if (errno != ERANGE || len > GROUPS_MAX * sizeof(gid_t))
			return false;
	}
	return false;
}

static void
set_user(struct names *n, struct caller *c)
{
	const char *name = names_user(n, c->uid);

	/* a name that does not fit must not become another user's */
	if (name != NULL && strlen(name) < sizeof(c->user))
		snprintf(c->user, sizeof(c->user), "%s", name);
	else
		snprintf(c->user, sizeof(c->user), "%u", (unsigned)c->uid);
}

void
caller_become(struct names *n, const struct config *conf, uid_t user_uid, uid_t uid, unsigned scopes,
    struct caller *out)
{
	gid_t admins;

	*out = (struct caller){.uid = uid, .scopes = scopes};
	set_user(n, out);
	if ((scopes & P_SCOPE_ADMIN) == 0)
		return;
	out->admin = uid == 0 || uid == user_uid;
	if (!out->admin && user_uid == (uid_t)-1 && conf->socket_admin_group != NULL &&
	    *conf->socket_admin_group != '\0' && names_gid(n, conf->socket_admin_group, &admins))
		out->admin = is_member(n, uid, admins);
}

int
caller_stays(struct names *n, uid_t uid, const char *name, const char *socket_path, struct awo_err *err)
{
	struct caller now = {.uid = uid};
	char number[16];
	struct stat st;

	set_user(n, &now);
	snprintf(number, sizeof(number), "%u", (unsigned)uid);
	if (strcmp(name, number) != 0 && strcmp(name, now.user) != 0)
		return ERR(err, PERMISSION_DENIED, "", "it was given to %.64s, who is no user of this host any more", name);
	if (uid == 0 || stat(socket_path, &st) != 0 || (st.st_mode & S_IWOTH) != 0 || st.st_uid == uid ||
	    table_find(&n->passwd, uid) == NULL || is_member(n, uid, st.st_gid))
		return 0;
	return ERR(err, PERMISSION_DENIED, "", "%.64s may not use awod any more: the group of its socket is needed",
	    now.user);
}

int
caller_identify(int fd, struct names *n, const struct config *conf, uid_t user_uid,
    struct caller *out, struct awo_err *err)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	uid_t gateway;
	gid_t admins;

	*out = (struct caller){.uid = (uid_t)-1};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0 || cred.uid == (uid_t)-1)
		return ERR(err, UNAUTHENTICATED, "",
		    "the kernel does not say who is connecting: %s", strerror(errno));
	out->uid = cred.uid;
	out->pid = cred.pid;
	out->scopes = P_SCOPE_READ | P_SCOPE_WRITE | P_SCOPE_ADMIN;
	set_user(n, out);
	if (user_uid != (uid_t)-1) {
		out->admin = cred.uid == user_uid || cred.uid == 0;
		out->gateway = cred.uid == user_uid;
		if (!out->admin)
			return ERR(err, PERMISSION_DENIED, "",
			    "this awod serves uid %u alone; start your own with awod --user, or "
			    "use the "
			    "system's",
			    (unsigned)user_uid);
		return 0;
	}
	out->admin = cred.uid == 0;
	if (!out->admin && conf->socket_admin_group != NULL && *conf->socket_admin_group != '\0' &&
	    names_gid(n, conf->socket_admin_group, &admins))
		out->admin = peer_has_group(fd, &cred, admins);
	out->gateway = conf->socket_gateway_user != NULL &&
		       names_uid(n, conf->socket_gateway_user, &gateway) && gateway == cred.uid;
	return 0;
}

bool
caller_may_see(const struct caller *c, uint32_t owner_uid)
{
	return c->admin || c->uid == owner_uid;
}
