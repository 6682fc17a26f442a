/* A program inside the agent's sandbox, as the loop sees it: started, running, ended, and
 * everything in it gone. */
#include "awo-worker/inside.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awo-worker/order.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/log.h"

#define CLEAR_US (10 * 1000000LL) /* until everything killed is gone */

static void
on_status(void *ctx, const char *p, size_t n)
{
	struct inside *in = ctx;

	while (n > 0) {
		size_t take = sizeof(in->raw) - in->raw_len;
		struct sandbox_status st;

		if (take > n)
			take = n;
		memcpy(in->raw + in->raw_len, p, take);
		in->raw_len += take;
		p += take;
		n -= take;
		if (in->raw_len < sizeof(in->raw))
			return;
		in->raw_len = 0;
		memcpy(&st, in->raw, sizeof(st));
		if (st.kind == 1) {
			in->failed = true;
			in->what = st;
			in->what.what[sizeof(in->what.what) - 1] = '\0';
		} else if (st.kind == 2) {
			in->running = true;
			in->program = st.pid;
		} else if (st.kind == 3) {
			in->ended = true;
			in->wait_status = st.status;
			in->cpu_us = st.cpu_us;
			in->maxrss_bytes = st.maxrss_bytes;
		} else if (st.kind == 4) {
			in->cleared = true;
			in->order->processes_killed += st.status;
		}
	}
}

int
inside_start(
    struct order *o, struct inside *in, const struct sandbox_launch *launch, struct failure *f)
{
	struct sandbox_mount *mounts CLEAN_FREE = xcalloc(launch->nmounts + 2, sizeof(*mounts));
	struct sandbox_launch l = *launch;
	struct awo_err err = {0};

	*in = (struct inside){.order = o};
	mounts[0] = (struct sandbox_mount){
	    .source = "/awo/order/workspace", .target = "/workspace", .writable = true};
	mounts[1] = (struct sandbox_mount){
	    .source = "/awo/cache.git", .target = "/awo/cache.git", .optional = true};
	for (size_t i = 0; i < launch->nmounts; i++)
		mounts[2 + i] = launch->mounts[i];
	l.mounts = mounts;
	l.nmounts += 2;
	l.cwd = "/workspace";
	l.limits.core = (uint64_t)o->job.limits.core;
	l.limits.nofile = (uint64_t)o->job.limits.nofile;
	l.limits.fsize = (uint64_t)o->job.limits.fsize;
	l.limits.nproc = (uint64_t)o->job.limits.nproc;
	l.limits.memlock = (uint64_t)o->job.limits.memlock;
	if (sandbox_start(&l, &in->proc, &err) != 0)
		return FAIL(f, internal, "the agent's sandbox could not be started: %s", err.msg);
	in->child = (struct loop_child){.pid = in->proc.pid};
	loop_child_add(&o->loop, &in->child);
	loop_reader_open(&o->loop, &in->status, in->proc.status_fd, on_status, in);
	return 0;
}

int
inside_more(struct inside *in, const struct sandbox_launch *launch, struct failure *f)
{
	struct awo_err err = {0};

	in->running = in->ended = in->cleared = false;
	in->wait_status = 0;
	/* ended from outside, perhaps: then nobody reads what is said */
	if (loop_reader_done(&in->status))
		return FAIL(f, internal, "the agent's sandbox is gone");
	if (sandbox_more(&in->proc, launch, &err) != 0)
		return FAIL(f, internal, "%s", err.msg);
	return 0;
}

bool
inside_done(const struct inside *in)
{
	return in->failed || in->ended || loop_reader_done(&in->status);
}

void
inside_signal(struct inside *in, int sig)
{
	if (in->running && !in->ended)
		sandbox_signal(&in->proc, in->program, sig);
}

bool
inside_clear(struct inside *in)
{
	struct order *o = in->order;
	int64_t deadline = loop_now(&o->loop) + CLEAR_US;

	while (!in->cleared && !in->failed && !loop_reader_done(&in->status) &&
	       loop_turn(&o->loop, deadline))
		;
	return in->cleared;
}

void
inside_release(struct inside *in)
{
	struct order *o = in->order;

	/* the reaper ends with our end of the socket, and then the launcher, which the loop reaps */
	loop_reader_close(&in->status);
	loop_child_remove(&o->loop, &in->child);
	close(in->proc.pidfd);
}

/* How many processes had to be ended, or -1. */
static int
end(struct inside *in)
{
	struct order *o = in->order;
	int n = sandbox_kill(&in->proc);

	loop_reader_close(&in->status);
	/* killed means that the launcher has ended: its report is a matter of this turn */
	while (n >= 0 && !in->child.ended)
		loop_turn(&o->loop, 0);
	loop_child_remove(&o->loop, &in->child);
	close(in->proc.pidfd);
	if (n < 0) {
		o->unclean = true;
		log_warning("sandbox_kill_failed", LI("pid", in->child.pid));
	}
	return n;
}

void
inside_finish(struct inside *in)
{
	int n = end(in);

	if (n > 0)
		in->order->processes_killed += n;
}

void
inside_discard(struct inside *in)
{
	end(in);
}
