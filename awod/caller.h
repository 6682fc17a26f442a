/* Who is at the other end of a connection, as the kernel and /etc say. */
#ifndef AWOD_CALLER_H
#define AWOD_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

#include "awod/config.h"
#include "awod/server.h"
#include "common/err.h"

/* Names of users and groups, read from files and kept until these change. No name service is ever
 * asked. */
struct names;
struct names *names_open(const char *passwd_path, const char *group_path);
void names_close(struct names *n); /* NULL accepted */
/* The name of a uid, or NULL; valid until the next call with the same names. */
const char *names_user(struct names *n, uid_t uid);
bool names_uid(struct names *n, const char *user, uid_t *uid);
bool names_gid(struct names *n, const char *group, gid_t *gid);

/*
 * Fills in the caller at the other end of a connected Unix socket. user_uid: in user mode the uid
 * that awod runs as; (uid_t)-1 in system mode. PERMISSION_DENIED (with *out filled in) for others
 * than the user and root in user mode.
 */
int caller_identify(int fd, struct names *n, const struct config *conf, uid_t user_uid,
    struct caller *out, struct awo_err *err);

/*
 * Fills in a user who is not connected, but for whom something is done: admin only with that scope and as uid 0, in user
 * mode the user, or as a member of socket.admin_group in the file of groups.
 */
void caller_become(struct names *n, const struct config *conf, uid_t user_uid, uid_t uid, unsigned scopes,
    struct caller *out);
/*
 * Whether the user to whom access was given is still there and could still connect to awod's socket: a number that has
 * another name by now, or none, is somebody else. name: as it was then. What the files do not know (a user of a directory
 * service), and a socket that cannot be looked at, count for nothing against them. PERMISSION_DENIED.
 */
int caller_stays(struct names *n, uid_t uid, const char *name, const char *socket_path, struct awo_err *err);

#endif
