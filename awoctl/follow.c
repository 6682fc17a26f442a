/* Follows an order's log over restarts of the daemon. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "awoctl/follow.h"
#include "common/clean.h"
#include "common/clock.h"

#define BACKOFF_FIRST_MS 100
#define BACKOFF_LAST_MS 5000
#define GIVE_UP_US 300000000 /* a restart of awod takes seconds; after this long nobody is going to start it */
#define WAIT_MS 500	     /* so long may an interrupt go unnoticed that came just before poll() */

static volatile sig_atomic_t interrupted, resized;

static void
on_signal(int sig)
{
	if (sig == SIGWINCH)
		resized = 1;
	else
		interrupted = 1;
}

void
follow_catch_signals(void)
{
	struct sigaction once = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
	struct sigaction always = {.sa_handler = on_signal};

	sigaction(SIGINT, &once, NULL);
	sigaction(SIGTERM, &once, NULL);
	sigaction(SIGWINCH, &always, NULL);
}

bool
follow_interrupted(void)
{
	return interrupted != 0;
}

bool
follow_resized(void)
{
	bool was = resized != 0;

	resized = 0;
	return was;
}

struct state {
	struct follow *f;
	int64_t subscription;
	int64_t next_tick;
	int64_t lost_at;	/* 0 while connected */
	int backoff;
};

static void
say(const struct follow *f, const char *text)
{
	if (f->note)
		f->note(f->arg, text);
	else
		ctl_note(f->ctl, "%s", text);
}

static void
tick(struct state *s)
{
	if (s->f->tick_ms == 0 || clock_mono_us() < s->next_tick)
		return;
	s->next_tick = clock_mono_us() + s->f->tick_ms * (int64_t)1000;
	s->f->tick(s->f->arg);
}

/* Waits for input of the daemon (fd, or -1), a tick or a signal. */
static void
wait_ms(struct state *s, int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t left = (s->next_tick - clock_mono_us()) / 1000;

	if (s->f->tick_ms && left < ms)
		ms = left > 0 ? (int)left : 0;
	poll(&p, 1, ms);
	tick(s);
}

static int
subscribe(struct state *s, struct awo_err *err)
{
	struct follow *f = s->f;
	struct p_order_watch request = {0};
	struct p_stream_answer answer;

	P_SETS(order_watch, &request, agent_work_order_id, f->id);
	if (f->after)
		P_SET(order_watch, &request, after_seq, f->after);
	if (f->level)
		P_SET(order_watch, &request, level, (enum p_log_level)f->level);
	if (f->step)
		P_SETS(order_watch, &request, step, f->step);
	if (f->since)
		P_SET(order_watch, &request, since, f->since);
	int r = ctl_try(f->ctl, P_M_order_watch, &request, &answer, err);
	P_FREE(order_watch, &request);
	if (r < 0)
		return -1;
	s->subscription = answer.subscription;
	if (P_HAS(stream_answer, &answer, agent_work_order_id))
		snprintf(f->id, sizeof(f->id), "%s", answer.agent_work_order_id);
	P_FREE(stream_answer, &answer);
	return 0;
}

enum next { NEXT_WAIT, NEXT_SUBSCRIBE, NEXT_RECONNECT, NEXT_ENDED, NEXT_REMOVED, NEXT_FAILED };

static enum next
on_end(struct state *s, const char *method, struct p_slice param, struct awo_err *err)
{
	struct p_stream_end end;
	enum next next = NEXT_SUBSCRIBE;

	if (p_decode(&p_type_stream_end, &end, param, err) < 0)
		return NEXT_FAILED;
	if (end.subscription != s->subscription)
		next = NEXT_WAIT;
	else if (strcmp(method, "stream_overflow") != 0) {
		if (strcmp(end.reason, "order_ended") == 0)
			next = NEXT_ENDED;
		else if (strcmp(end.reason, "order_removed") == 0)
			next = NEXT_REMOVED;
		else if (strcmp(end.reason, "stopping") == 0)
			next = NEXT_RECONNECT;
	}
	P_FREE(stream_end, &end);
	return next;
}

static enum next
on_line(struct state *s, struct p_slice param, struct awo_err *err)
{
	struct p_log_line line;

	if (p_decode(&p_type_log_line, &line, param, err) < 0)
		return NEXT_FAILED;
	if (line.subscription == s->subscription && line.seq > s->f->after) {
		s->f->after = line.seq;
		s->f->line(s->f->arg, line.seq, line.line);
	}
	P_FREE(log_line, &line);
	return NEXT_WAIT;
}

/* Takes what comes until something else is to be done. */
static enum next
receive(struct state *s, struct awo_err *err)
{
	while (!follow_interrupted()) {
		const char *method;
		struct p_slice param;
		enum next next = NEXT_WAIT;
		int r = client_next(s->f->ctl->client, &method, &param, 0, err);

		if (r < 0)
			return NEXT_RECONNECT;
		if (r == 0) {
			wait_ms(s, client_fd(s->f->ctl->client), WAIT_MS);
			continue;
		}
		if (strcmp(method, "log_line") == 0)
			next = on_line(s, param, err);
		else if (strcmp(method, "stream_end") == 0 || strcmp(method, "stream_overflow") == 0)
			next = on_end(s, method, param, err);
		if (next != NEXT_WAIT)
			return next;
		/* only now: a tick may make calls, which end the life of param */
		tick(s);
	}
	return NEXT_WAIT;
}

/* Connects and subscribes again, with pauses that grow. 0, or -1 when that has no sense any more. */
static int
come_back(struct state *s, struct awo_err *err)
{
	if (s->lost_at == 0) {
		s->lost_at = clock_mono_us();
		s->backoff = BACKOFF_FIRST_MS;
		say(s->f, "the connection to awod is lost; waiting for it to come back");
	}
	while (!follow_interrupted()) {
		int64_t until = clock_mono_us() + s->backoff * (int64_t)1000;
		while (clock_mono_us() < until && !follow_interrupted()) {
			int64_t left = (until - clock_mono_us()) / 1000 + 1;
			wait_ms(s, -1, left < WAIT_MS ? (int)left : WAIT_MS);
		}
		s->backoff = s->backoff * 2 < BACKOFF_LAST_MS ? s->backoff * 2 : BACKOFF_LAST_MS;
		if (ctl_reconnect(s->f->ctl, err) == 0) {
			if (subscribe(s, err) == 0) {
				s->lost_at = 0;
				say(s->f, "connected again");
				return 0;
			}
			/* an awod that is just starting or stopping closes again; anything else is an answer */
			if (err->code != AWO_UNAVAILABLE && err->code != AWO_DEADLINE_EXCEEDED)
				return -1;
		}
		if (clock_mono_us() - s->lost_at > GIVE_UP_US)
			return awo_err_prefix(err, "awod did not come back within %d minutes",
			    GIVE_UP_US / 60000000);
	}
	return 0;
}

enum follow_end
follow_run(struct follow *f, struct awo_err *err)
{
	struct state s = {.f = f};
	enum next next = NEXT_SUBSCRIBE;

	if (ctl_connect(f->ctl, err) < 0)
		return FOLLOW_FAILED;
	for (;;) {
		if (follow_interrupted())
			return FOLLOW_INTERRUPTED;
		switch (next) {
		case NEXT_WAIT:
			next = receive(&s, err);
			break;
		case NEXT_SUBSCRIBE:
			next = NEXT_WAIT;
			if (subscribe(&s, err) < 0) {
				if (err->code != AWO_UNAVAILABLE)
					return FOLLOW_FAILED;
				next = NEXT_RECONNECT;
			}
			break;
		case NEXT_RECONNECT:
			if (come_back(&s, err) < 0)
				return follow_interrupted() ? FOLLOW_INTERRUPTED : FOLLOW_FAILED;
			next = NEXT_WAIT;
			break;
		case NEXT_ENDED:
			return FOLLOW_ENDED;
		case NEXT_REMOVED:
			return FOLLOW_REMOVED;
		case NEXT_FAILED:
			return FOLLOW_FAILED;
		}
	}
}
