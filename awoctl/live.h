/* The live view of one order: notable log lines, and below them one or two status lines that are repainted. */
#ifndef AWOCTL_LIVE_H
#define AWOCTL_LIVE_H

#include "awoctl/term.h"
#include "proto/schema.h"

struct live {
	const struct term *term;	/* standard error */
	bool quiet;			/* prints nothing, only keeps count */
	int painted;			/* status lines that stand on the terminal */
	char status[64];		/* "running", ... */
	char step[130];
	int64_t step_number, total_steps;
	int64_t started_us;		/* wall clock; 0 while pending */
	int64_t queue_position;
	int64_t activity_us;		/* wall clock of the last line */
	struct buf activity;		/* what it said */
	int64_t tokens_done, tokens_step;
	double cost_done, cost_step;
	unsigned frame;
};

void live_init(struct live *l, const struct term *term, bool quiet);
/* What the record says; before the first line, and when it is asked again. */
void live_order(struct live *l, const struct p_order *order);
/* Takes one line in: prints it above the status lines when it is notable. */
void live_line(struct live *l, const char *text);
void live_say(struct live *l, const char *text);	/* a remark, above the status lines */
void live_paint(struct live *l);			/* the status lines; nothing without a terminal */
void live_clear(struct live *l);			/* takes them away */
void live_free(struct live *l);

/* The status lines themselves, for tests: each at most width columns, ending with a newline. Returns how many. */
int live_status(const struct live *l, int64_t now_us, struct buf *b);

#endif
