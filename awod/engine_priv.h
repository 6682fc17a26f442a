/* What the engine's own files share: live orders, changes, the supervisor's link. */
#ifndef AWOD_ENGINE_PRIV_H
#define AWOD_ENGINE_PRIV_H

#include <event2/event.h>
#include <limits.h>

#include "awod/config.h"
#include "awod/engine.h"
#include "awod/options.h"
#include "awod/order.h"
#include "awod/scheduler.h"
#include "awod/spawn.h"
#include "awod/store.h"
#include "common/histogram.h"

enum live_stage {
	LIVE_QUEUED,	/* no slot, no worker; or paused with its worker */
	LIVE_STARTING,	/* has a slot; its start is being committed */
	LIVE_FETCHING,	/* waits for the cache, and has no worker */
	LIVE_SPAWNING,	/* the supervisor was asked */
	LIVE_WORKING,	/* a worker is there */
	LIVE_SETTLED	/* its end is being committed */
};

enum live_final { FINAL_NONE, FINAL_COMPLETED, FINAL_FAILED };

struct link;
struct fetch;

/* Somebody who waits for an order's pause or end. */
struct waiter {
	struct waiter *next;
	enum { WAIT_PAUSED, WAIT_ENDED } what;
	engine_done *done;
	void *arg;
};

/* An order that is not terminal, or whose last change is not yet durable. */
struct live {
	struct engine *e;
	struct live *next;		/* of the engine's list of all */
	struct live **prev;
	struct live *chain;		/* hash chain */
	struct order_row *row;		/* the truth; every change goes through it */
	enum live_stage stage;
	unsigned commits;		/* changes that are not durable yet */
	unsigned unsaved;		/* of them, those that the database has refused for now */
	bool chain_broken;		/* the store's, see store_tx_chain() */
	bool trying_again;		/* the first of the refused ones is on its way */
	struct waiter *waiters;

	/* worker */
	bool exited, oom, pausing, forced;
	char *cancel_by, *cancel_reason;
	int status;
	enum live_final final;
	enum p_error_category category;	/* of a failed end */
	char *error;
	int64_t retry_after_s;
	bool deciding;			/* an approval is being recorded */
	struct link *link;
	char nonce[65];
	struct event *deadline;		/* forced end after a cancel, end after the last line */
	int64_t slot_since_us;		/* monotonic: for the order's timeout */
	struct fetch *fetch;
	struct live *fetch_next;
	bool fetching, fetched;		/* from the wish until its end is durable; then, for the worker that waits for it */

	/* log */
	int log_fd;			/* O_RDWR | O_APPEND, or -1 when the file has not been made */
	int watch;			/* inotify */
	int64_t read_offset;		/* >= row->journal_offset; what lies between changes nothing */
	struct live *followed_next;	/* those whose log is open */
	struct live *dirty_next;
	bool dirty;
	bool append_failed;		/* what the log lacks is in the store */
	int64_t final_at;		/* where the worker's last line begins; 0: not seen yet */
};

struct suplink;
struct log_watch;
struct change;
struct deletion;

struct engine {
	struct broker *b;
	struct suplink *sup;
	struct live *all;
	size_t nlive;
	struct live **hash;
	size_t nhash;
	size_t running;			/* orders that have a slot */
	struct event *kick;		/* runs the scheduler soon */
	struct event *again;		/* runs it at the next retry_at */
	bool positions_stale;
	bool ready;			/* the supervisor has announced what lives */
	bool closing;
	struct fetch *fetches;
	int inotify;
	struct event *inotify_ev, *drain_ev;
	struct live *followed, *dirty;
	struct task *tasks;
	uint64_t next_tag;
	struct event *hourly;
	struct change *unsaved, **unsaved_tail;	/* changes that the database did not take; tried again */
	struct event *save_again;
	struct deletion *deletions;	/* orders whose record is being removed */
	char burst[3];			/* first digits that new ids share until then, or until so many are drawn */
	int64_t burst_ends;
	int burst_left;
	uint64_t created, completed, failed, cancelled, retried, launches;	/* since this process started */
	struct histogram queue_wait, step_time;
	double input_tokens, output_tokens, cost_usd;	/* as agents said: sums that cannot overflow */
};

/* ---- engine.c */
struct live *live_find(struct engine *e, const char *id);
/* A new live order around a row (taken). */
struct live *live_new(struct engine *e, struct order_row *row);
void engine_kick(struct engine *e);
/* For change_commit(): lets an order go that was live only for the change. */
void live_release(struct live *l, bool ok, void *arg);
/* The worker's process has ended, or there is none; settles the order when its log says so. */
void live_exited(struct live *l, int status, bool oom);
/* The start failed before a worker could say so itself; one that waits for its cache is ended. */
void live_failed(struct live *l, enum p_error_category category, const char *message, int64_t retry_after_s);
void live_at_gate(struct live *l);	/* the worker says that it waits for a person; the caller commits the change */
void live_acked(struct live *l, const char *op);	/* the worker has done it */
void live_linked(struct live *l, const json_t *hello);	/* the control connection stands */
/* The cache is there: the worker that waits for it goes on, or is started. */
void live_fetched(struct live *l);
/* A change could not be written for now: who waits for the order is told. */
void live_unsaved(struct live *l);
/* A batch of lines of the worker has been taken in. */
void live_taken(struct live *l);

/* ---- change.c: one transaction on one order, and what follows when it is durable */
struct change;
typedef void change_then(struct live *l, bool ok, void *arg);
struct change *change_begin(struct live *l);
struct store_tx *change_tx(struct change *c);
/* An event of the order; fields (may be NULL) is taken. */
void change_event(struct change *c, const char *level, const char *event, json_t *fields);
/*
 * Adds the row's update and commits. then is called after the event lines stand in the log. What has happened cannot be
 * taken back because the disk is full: until the database takes the change, change_commit() tries again, and then() hears
 * of nothing. change_try() is for what a caller can be refused: it tells of a failure at once.
 */
void change_commit(struct change *c, change_then *then, void *arg);
void change_try(struct change *c, change_then *then, void *arg);
void change_open(struct engine *e);
void change_close(struct engine *e);		/* drops what is still unsaved; the next start settles it from the logs */

/* ---- journal.c */
int journal_open(struct engine *e);
void journal_close(struct engine *e);
/* Makes the order's log, with all its events so far, and begins to follow it. -1 with errno. */
int journal_make(struct live *l);
void journal_forget(struct live *l);
/* Appends the broker's own line; tells the streams. */
void journal_append(struct live *l, int64_t event_id, const char *line);
/* Takes in whatever is there. */
void journal_drain(struct live *l);
void journal_path(const struct engine *e, const struct order_row *row, char path[PATH_MAX]);
int journal_dup_for_worker(struct live *l);		/* O_RDWR | O_APPEND, as files_append_line() wants it */

/* ---- suplink.c, task.c */
struct suplink *suplink_open(struct engine *e, int fd, struct awo_err *err);
void suplink_close(struct suplink *s);
void suplink_send(struct suplink *s, const struct sup_msg *m, const int *fds, int nfds);
void suplink_msg(struct sup_msg *m, enum sup_op op, enum sup_kind kind);	/* fills the common part */
void task_exited(struct engine *e, const struct sup_msg *m);
void task_spawned(struct engine *e, const struct sup_msg *m);
void task_close_all(struct engine *e);
void retention_removed(struct engine *e, const struct sup_msg *m);
void engine_message(struct engine *e, const struct sup_msg *m);

/* ---- task.c */
bool is_shortage(int error);	/* of the host: it passes without a change to awod or the order */

/* ---- link.c: awod's end of a worker's control socket */
int link_listen(struct live *l, struct awo_err *err);	/* makes directory, socket and nonce; the listening descriptor */
void link_connect(struct live *l);
bool link_send(struct live *l, json_t *op);		/* takes op; false when there is no connection */
void link_close(struct live *l);
void link_remove(struct live *l);			/* the directory too */
void links_sweep(struct engine *e);			/* directories of workers that are gone, left by a crash */

/* ---- jobspec.c */
json_t *jobspec_build(struct live *l, struct awo_err *err);

/* ---- fetch.c */
void fetch_for(struct live *l);
void fetch_leave(struct live *l);			/* the order does not want it any more */
void fetch_forget(struct engine *e, uint32_t uid, const char *name);	/* the cache was removed */
void fetch_close_all(struct engine *e);

/* ---- retention.c */
void retention_open(struct engine *e);
void retention_close(struct engine *e);
void retention_disk_full(struct engine *e);	/* gives the reserve up when that is what fails */
bool retention_holds(const char *id);		/* it is removing something of this order */

#endif
