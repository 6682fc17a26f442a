/* The store's thread: jobs that the loop queues, backups between them, answers on their way back. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "awod/store_priv.h"
#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"

#define BACKUP_PAGES 2000 /* copied between two commits */
#define SOON_US 600 /* a job that comes within it is one of a sequence */
#define SEQUENCE 4  /* such jobs: then the thread stays awake for the next one */

struct backup_job {
	struct job job;
	char *path;
	void (*done)(void *arg, const struct awo_err *err, int64_t size);
	int64_t size;
	sqlite3 *to;
	sqlite3_backup *copy;
};

/* ---- turns, bells, the queue */

void
lock_turn(struct store *s)
{
	if (!s->path)
		pthread_mutex_lock(&s->turn);
}

void
unlock_turn(struct store *s)
{
	if (!s->path)
		pthread_mutex_unlock(&s->turn);
}

static int
bell_open(struct bell *b, int flags, struct awo_err *err)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC | flags) < 0)
		return ERR(err, RESOURCE_EXHAUSTED, "", "pipe: %s", strerror(errno));
	*b = (struct bell){.wait = fd[0], .ring = fd[1]};
	return 0;
}

static void
bell_close(struct bell *b)
{
	if (b->wait >= 0)
		close(b->wait);
	if (b->ring >= 0)
		close(b->ring);
	*b = (struct bell){-1, -1};
}

static void
bell_ring(const struct bell *b)
{
	ssize_t n = write(b->ring, "", 1);

	(void)n; /* full means that it rings already */
}

/* Until it has rung, or for less: a signal, or a ring that was not waited for. */
static void
bell_wait(const struct bell *b)
{
	char rings[64];
	ssize_t n = read(b->wait, rings, sizeof(rings));

	(void)n;
}

void
store_enqueue(struct store *s, struct job *job)
{
	bool waiting;

	pthread_mutex_lock(&s->lock);
	job->next = NULL;
	*s->in_last = job;
	s->in_last = &job->next;
	atomic_store_explicit(&s->has_in, true, memory_order_relaxed);
	waiting = s->waiting;
	s->waiting = false;
	pthread_mutex_unlock(&s->lock);
	if (waiting)
		bell_ring(&s->jobs);
}

/* ---- backup, a piece at a time between commits */

static void
backup_end(struct store *s, int rc)
{
	struct backup_job *b = s->backup;
	struct stat st;

	sqlite3_backup_finish(b->copy);
	if (rc != SQLITE_OK)
		sqlite_error(b->to, rc, "cannot write the backup", &b->job.err);
	sqlite3_close_v2(b->to);
	b->to = NULL;
	if (b->job.err.code == AWO_OK && stat(b->path, &st) == 0)
		b->size = st.st_size;
	if (b->job.err.code != AWO_OK)
		unlink(b->path);
	s->backup = NULL;
}

bool
backup_begin(
    sqlite3 *from, const char *path, sqlite3 **to, sqlite3_backup **copy, struct awo_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	*to = NULL;
	*copy = NULL;
	if (fd < 0 && errno == EEXIST) {
		ERR(err, ALREADY_EXISTS, "path", "%.512s is there already; name a new file", path);
		return false;
	}
	if (fd < 0) {
		ERR(err, UNAVAILABLE, "path",
		    "cannot make %.512s: %s; awod's user must be able to write to that directory",
		    path, strerror(errno));
		return false;
	}
	close(fd);
	rc = sqlite3_open_v2(path, to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc == SQLITE_OK)
		*copy = sqlite3_backup_init(*to, "main", from, "main");
	if (*copy)
		return true;
	sqlite_error(
	    *to, rc == SQLITE_OK ? sqlite3_errcode(*to) : rc, "cannot write the backup", err);
	sqlite3_close_v2(*to);
	*to = NULL;
	unlink(path);
	return false;
}

/* Copies some pages. True when the backup has ended, well or not. */
static bool
backup_step(struct store *s)
{
	int rc = sqlite3_backup_step(s->backup->copy, BACKUP_PAGES);

	if (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED)
		return false;
	backup_end(s, rc == SQLITE_DONE ? SQLITE_OK : rc);
	return true;
}

void
store_backup(struct store *s, const char *path,
    void (*done)(void *arg, const struct awo_err *err, int64_t size), void *arg)
{
	struct backup_job *b = xcalloc(1, sizeof(*b));

	b->job.kind = JOB_BACKUP;
	b->job.arg = arg;
	b->path = xstrdup(path);
	b->done = done;
	if (*path != '/')
		ERR(&b->job.err, INVALID_ARGUMENT, "path", "the backup's path must be absolute");
	store_enqueue(s, &b->job);
}

/* ---- the thread */

static void
hand_back(struct store *s, struct job *first, const struct job *end)
{
	bool first_answer;

	pthread_mutex_lock(&s->lock);
	first_answer = !s->out;
	while (first != end) {
		struct job *next = first->next;

		first->next = NULL;
		*s->out_last = first;
		s->out_last = &first->next;
		s->busy--;
		first = next;
	}
	if (s->busy == 0 && !s->in)
		pthread_cond_broadcast(&s->idle);
	pthread_mutex_unlock(&s->lock);
	if (first_answer)
		bell_ring(&s->answers);
}

/* Runs the jobs at the head of a list that belong together; returns the first that does not. */
static struct job *
do_jobs(struct store *s, struct job *first)
{
	struct job *end = first->next;
	struct backup_job *b;

	lock_turn(s);
	switch (first->kind) {
	case JOB_TX:
		end = apply_batch(s, first);
		break;
	case JOB_LIST:
		run_list(s, first);
		break;
	case JOB_BACKUP:
		b = (struct backup_job *)first;
		if (b->job.err.code != AWO_OK)
			break;
		if (s->backup)
			ERR(&b->job.err, FAILED_PRECONDITION, "path",
			    "another backup is being written; wait for its end");
		else if (backup_begin(s->writer.db, b->path, &b->to, &b->copy, &b->job.err)) {
			s->backup = b;
			unlock_turn(s);
			return end; /* handed back by the last piece */
		}
		break;
	}
	unlock_turn(s);
	hand_back(s, first, end);
	return end;
}

/*
 * Who hands in one job after the other, and awaits each, would find the thread asleep each time, and its processor with it: to
 * wake both takes longer than the job. So a thread whose last jobs came soon watches for the next one, for as long.
 */
static void
watch(struct store *s, int64_t until)
{
	while (!atomic_load_explicit(&s->has_in, memory_order_relaxed) && clock_mono_us() < until)
		;
}

/* Whether another processor can be at work while this thread watches. */
static bool
may_watch(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 1;
}

static void *
store_thread(void *arg)
{
	struct store *s = arg;
	bool may = may_watch();
	unsigned soon = 0; /* jobs of a sequence so far */

	pthread_setname_np(pthread_self(), "store");
	for (;;) {
		int64_t idle_since = clock_mono_us();
		struct job *jobs;
		size_t n = 0;

		if (may && soon >= SEQUENCE && !s->backup)
			watch(s, idle_since + SOON_US);
		pthread_mutex_lock(&s->lock);
		while (!s->in && !s->stop && !s->backup) {
			s->waiting = true;
			pthread_mutex_unlock(&s->lock);
			bell_wait(&s->jobs);
			pthread_mutex_lock(&s->lock);
		}
		s->waiting = false;
		soon = clock_mono_us() - idle_since < SOON_US ? soon + 1 : 0;
		jobs = s->in;
		s->in = NULL;
		atomic_store_explicit(&s->has_in, false, memory_order_relaxed);
		s->in_last = &s->in;
		for (struct job *j = jobs; j; j = j->next)
			n++;
		s->busy += n;
		if (!jobs && !s->backup) {
			pthread_mutex_unlock(&s->lock);
			return NULL;
		}
		pthread_mutex_unlock(&s->lock);

		while (jobs)
			jobs = do_jobs(s, jobs);
		if (s->backup) {
			struct backup_job *b = s->backup;
			bool ended;

			lock_turn(s);
			ended = backup_step(s);
			unlock_turn(s);
			if (ended) {
				b->job.next = NULL;
				hand_back(s, &b->job, NULL);
			}
		}
	}
}

/* ---- answers, in the loop */

static void
answer_tx(struct store *s, struct store_tx *tx)
{
	const struct store_commit commit = {.event_ids = tx->event_ids,
	    .nevents = tx->nevents,
	    .rowid = tx->rowid,
	    .row = tx->taken ? tx->taken->row : NULL,
	    .tx = tx};

	if (tx->taken)
		tx->taken->row = NULL;
	forget_recent(s, tx);
	if (s->changed)
		s->changed(s->changed_arg);
	if (tx->job.err.code == AWO_OK)
		for (size_t i = 0; i < tx->ndeltas; i++) {
			const struct delta *d = &tx->deltas[i];

			if (d->from != order_status_none)
				count_order(s, d->uid, d->from, -1);
			if (d->to != order_status_none)
				count_order(s, d->uid, d->to, 1);
		}
	if (tx->done)
		tx->done(tx->job.arg, tx->job.err.code == AWO_OK ? NULL : &tx->job.err, &commit);
	else if (tx->job.err.code != AWO_OK)
		log_error("store_change_failed", LS("error", tx->job.err.msg));
	if (!tx->kept)
		store_tx_drop(tx);
}

static void
answer(struct store *s, struct job *j)
{
	const struct awo_err *err = j->err.code == AWO_OK ? NULL : &j->err;
	struct backup_job *b;

	switch (j->kind) {
	case JOB_TX:
		answer_tx(s, (struct store_tx *)j);
		break;
	case JOB_LIST:
		answer_list(j);
		break;
	case JOB_BACKUP:
		b = (struct backup_job *)j;
		b->done(j->arg, err, b->size);
		free(b->path);
		free(b);
		break;
	}
}

static void
answer_all(struct store *s)
{
	struct job *j;

	pthread_mutex_lock(&s->lock);
	j = s->out;
	s->out = NULL;
	s->out_last = &s->out;
	pthread_mutex_unlock(&s->lock);
	while (j) {
		struct job *next = j->next;

		answer(s, j);
		j = next;
	}
}

static void
on_answers(evutil_socket_t fd, short what, void *arg)
{
	struct store *s = arg;

	(void)fd;
	(void)what;
	bell_wait(&s->answers); /* it does not block */
	answer_all(s);
}

void
store_flush(struct store *s)
{
	bool more;

	do {
		pthread_mutex_lock(&s->lock);
		while (s->in || s->busy > 0)
			pthread_cond_wait(&s->idle, &s->lock);
		pthread_mutex_unlock(&s->lock);
		answer_all(s);
		/* a callback may have queued more */
		pthread_mutex_lock(&s->lock);
		more = s->in || s->busy > 0 || s->out;
		pthread_mutex_unlock(&s->lock);
	} while (more);
}

/* ---- its start and end */

int
store_start(struct store *s, struct event_base *base, struct awo_err *err)
{
	sigset_t all, old;
	int rc;

	if (bell_open(&s->jobs, 0, err) < 0 || bell_open(&s->answers, O_NONBLOCK, err) < 0)
		return -1;
	s->ev = event_new(base, s->answers.wait, EV_READ | EV_PERSIST, on_answers, s);
	if (!s->ev || event_add(s->ev, NULL) < 0)
		return ERR(err, RESOURCE_EXHAUSTED, "", "cannot watch the store's answers");
	/* signals are the loop's */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&s->thread, NULL, store_thread, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return ERR(err, RESOURCE_EXHAUSTED, "", "cannot start the store's thread: %s",
		    strerror(rc));
	s->started = true;
	return 0;
}

void
store_stop(struct store *s)
{
	if (s->started) {
		store_flush(s);
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_mutex_unlock(&s->lock);
		bell_ring(&s->jobs);
		pthread_join(s->thread, NULL);
	}
	if (s->ev)
		event_free(s->ev);
	bell_close(&s->jobs);
	bell_close(&s->answers);
}
