/* What the server's own files share: connections, calls, streams and the listening socket. */
#ifndef AWOD_SERVER_PRIV_H
#define AWOD_SERVER_PRIV_H

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <sys/queue.h>

#include "awod/broker.h"
#include "awod/caller.h"
#include "awod/config.h"
#include "awod/engine.h"
#include "awod/log_lines.h"
#include "awod/options.h"
#include "awod/server.h"
#include "awod/store.h"
#include "common/buf.h"
#include "common/histogram.h"
#include "proto/msgpack.h"

#define IN_FLIGHT_MAX 64 /* requests of a connection that are worked on; more are read later */
#define STREAMS_MAX 64	 /* streams of a connection */
#define GATEWAY_IN_FLIGHT_MAX 1024 /* the same for the gateway, whose connection many share */
#define GATEWAY_USER_MAX 256	   /* of these for one user, so that no one's slow requests keep the others out */
#define GATEWAY_STREAMS_MAX 4096
#define FRAMES_A_TURN 16 /* requests of one connection before others have their turn */
#define OUT_PAUSE                                                                                  \
	((size_t)1 << 20) /* bytes not read by the peer: no new request is taken, streams wait */
#define OUT_MAX ((size_t)16 << 20)	 /* bytes not read by the peer: the connection is cut */
#define PARTIAL_S 60			 /* a message must be complete after so many seconds */
#define WRITE_S 60			 /* a peer that reads nothing for so long is cut off */
#define STALL_US (30 * INT64_C(1000000)) /* a stream whose reader is behind for so long ends */
#define LAG_MAX                                                                                    \
	((int64_t)8 << 20) /* a stream that was up to date and is so many bytes behind ends */
#define PARTIAL_BYTES_MAX ((size_t)32 << 20) /* of incomplete messages of one user */
#define REFUSED_MAX 64 /* connections that are only told why they are refused */

struct server;
struct stream;

/* All connections of one uid. */
struct peer {
	struct peer *next;
	uid_t uid;
	size_t nconns;
	size_t partial; /* bytes of messages that are not complete */
};

struct rpc_call {
	TAILQ_ENTRY(rpc_call) link;
	struct conn *conn; /* NULL when it is gone */
	struct broker *b;
	const struct p_method *method;
	uint32_t id;
	struct caller caller;
	void *request;
	const struct order_row *order; /* NULL when the method is about none */
	struct order_row *own;	       /* order, when it is a copy */
	int64_t began_us;  /* monotonic */
	unsigned settling; /* how often it has waited for the order's end to be durable */
};

struct conn {
	TAILQ_ENTRY(conn) link;
	struct server *s;
	struct bufferevent *bev; /* writes only */
	struct event *readable;
	struct caller caller;
	struct peer *peer;
	struct buf in;	/* bytes that are no complete message yet, or wait for their turn */
	size_t partial; /* of these, as counted in peer */
	struct p_scan scan;
	struct event *more; /* goes on with what is in the buffer */
	struct event *partial_timer;
	TAILQ_HEAD(, rpc_call) calls;
	unsigned in_flight;
	TAILQ_HEAD(, stream) streams;
	unsigned nstreams;
	int64_t last_subscription;
	bool reading;	 /* readable is watched */
	bool timed;	 /* partial_timer runs */
	bool waiting;	 /* messages in the buffer wait for their turn: nothing more is read */
	bool processing; /* conn_process() is on the stack */
	bool eof;	 /* the peer sends no more */
	bool closing;	 /* ends when everything is written */
	bool dead;	 /* is freed by the reaper, when nobody's stack can have it */
	bool keeps;	 /* a gateway that has asked for orders since it was told of a change */
	bool is_refused;
	struct awo_err refused; /* the answer to its one request */
};

/* The log of one order that somebody follows. */
struct log_source {
	struct log_source *next; /* hash chain */
	char id[12];
	int fd;
	TAILQ_HEAD(, stream) streams;
};

struct stream {
	TAILQ_ENTRY(stream) link;   /* of its connection */
	TAILQ_ENTRY(stream) member; /* of its source, or of the server's event streams */
	TAILQ_ENTRY(stream) dirty_link;
	struct conn *conn;
	int64_t subscription;
	struct caller caller; /* who follows; for the gateway, for whom it asked */
	bool dirty;
	int64_t blocked_us; /* monotonic: since when its reader is behind; 0: it is not */
	/* order.watch */
	struct log_source *source; /* NULL for events.watch */
	struct log_cursor cursor;
	struct log_filter filter;
	char *step;
	int64_t sent; /* last seq */
	bool live;    /* has been at the end of the log */
	bool ended;   /* the log does not grow any more */
	char reason[32];
	/* events.watch */
	bool replaying;
	int64_t event_id; /* replayed up to here */
};

#define SOURCES 256
#define READ_BYTES 65536

struct server {
	struct broker *b;
	struct names *names;
	/* listen.c */
	int fd, dir_fd, lock_fd, reserve_fd;
	char *socket_name; /* in dir_fd, when awod made the socket itself */
	struct event *accept_event, *accept_again;
	/* conn.c */
	TAILQ_HEAD(, conn) conns;
	size_t nconns, nrefused, max_conns, max_conns_per_uid;
	struct peer *peers;
	struct event *reaper;
	struct event *tidy;
	size_t in_flight;
	size_t nkeeping; /* connections that keep */
	bool closing;
	uint8_t room[READ_BYTES]; /* what one read brings: most messages are never copied */
	/* stream.c */
	struct log_source *sources[SOURCES];
	TAILQ_HEAD(, stream) event_streams;
	TAILQ_HEAD(, stream) dirty;
	struct event *flush, *stall;
	size_t nstreams;
	/* counters since the start */
	uint64_t accepted, turned_away, overflows, malformed;
	/* lines of the log about clients, written and left out since then (monotonic) */
	int64_t told_since;
	unsigned told, untold;
	struct histogram answer_time;
	uint64_t calls[P_M__COUNT], failures[AWO_CODE__COUNT];
};

/* ---- listen.c */
int listen_open(struct server *s, struct awo_err *err);
void listen_close(struct server *s);

/* ---- conn.c */
/* Takes the descriptor. refused: NULL, or why every request of it is answered with this error. */
void conn_new(struct server *s, int fd, const struct caller *caller, const struct awo_err *refused);
/* Queues bytes; empties the buffer. Does nothing on a dead connection. */
void conn_write(struct conn *c, struct buf *bytes);
/* The same for the answer to a request that is still counted as in flight: at once, where that is possible. */
void conn_write_answer(struct conn *c, struct buf *bytes);
size_t conn_unsent(const struct conn *c);
/* Ends a connection when what is queued has been written. */
void conn_finish(struct conn *c);
/* Ends it at once. It stays in memory until the loop comes round. */
void conn_kill(struct conn *c);
/* It may keep what it is answered from now on, and is told of the next change. */
void conn_keeps(struct conn *c);
/* A call of it was answered. */
void conn_answered(struct conn *c);
void conn_free_all(struct server *s);
int conn_server_open(struct server *s, struct awo_err *err);

/* ---- dispatch.c */
void dispatch(struct conn *c, const struct p_frame *f);
/* The connection has gone: the call's answer will be thrown away. */
void rpc_detach(struct rpc_call *c);
bool rpc_gone(const struct rpc_call *c);   /* nobody waits for the answer any more */
struct conn *rpc_conn(struct rpc_call *c); /* NULL when it is gone */

/* ---- stream.c */
int stream_server_open(struct server *s, struct awo_err *err);
void stream_server_close(struct server *s);
void stream_free(struct stream *st);
/* The connection's peer has read what was queued. */
void stream_drained(struct conn *c);
/* Ends all streams of the server, or of a connection, with a last notification. */
void stream_end_all(struct server *s, const char *reason);

/* ---- audit.c: events of no order, seen by administrators */
/* fields (may be NULL) is taken. The line must be published when the transaction is durable. */
#define AUDIT_OWNER ((uint32_t)-1)
char *audit_event(struct store_tx *tx, const struct caller *by, const char *event, json_t *fields);
/* Commits, publishes the line (taken), then calls done. */
void audit_commit(struct broker *b, struct store_tx *tx, char *line, store_done *done, void *arg);

/* ---- access.c: for whom the gateway asks */
/* Fills in the holder of a token or session. UNAUTHENTICATED when it is not known or has expired. */
int access_caller(struct broker *b, const char *auth, struct caller *out, struct awo_err *err);
/* The token as token.verify answers; free it with P_FREE. UNAUTHENTICATED. */
int access_token(struct broker *b, const char *text, struct p_token *out, struct awo_err *err);
/* The same for a session. */
int access_session(struct broker *b, const char *text, struct p_session *out, struct awo_err *err);
/* Whether the user for whom something is done without being connected, known by that name, is still one of awod's. */
int access_check_user(const struct broker *b, uid_t uid, const char *name, struct awo_err *err);
/* Whether the caller of a stream is still who it was when that began; what is revoked or expires is seen elsewhere. */
bool access_holds(struct broker *b, const struct caller *c);
/* A user of this instance, as for caller_become(). */
void access_user(struct broker *b, uid_t uid, unsigned scopes, struct caller *out);
/* Names of the scopes of a mask, added to an empty list. */
void access_scopes(unsigned scopes, struct p_strv *out);
/* Whether the caller may give these scopes away until that time (0: for ever). INVALID_ARGUMENT, PERMISSION_DENIED. */
int access_may_grant(const struct caller *c, const struct p_strv *scopes, int64_t until, struct awo_err *err);

/* ---- rpc_order.c */
/* Hands an order in for somebody, as order.create does. delivery: the webhook that it comes from, or NULL. */
void order_hand_in(struct broker *b, const struct caller *who, const struct p_order_create *request,
    const struct store_delivery *delivery, engine_done *done, void *arg);

/* ---- rpc_settings.c */
/* Asks GitHub whose token it is, and answers the call (settings.test, credential.test). */
void test_github_token(struct rpc_call *c, const char *token);

/* ---- rpc_system.c */
/* The trusted command files, by name; free with P_FREE(command_list_answer, ...). describe: read
 * what they say of themselves. */
void commands_find(const struct broker *b, bool describe, struct p_command_list_answer *out);
/* Whether one of these directories has the command file of that name, with or without its suffix. */
bool commands_have(const struct broker *b, const char *name);
void server_metrics(const struct server *s, json_t *into);

#endif
