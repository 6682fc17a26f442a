/* Reads what an agent answered: JSON somewhere in its text, verdicts, titles, names of branches.
 * Everything is a claim. */
#ifndef WORKER_ANSWER_H
#define WORKER_ANSWER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/err.h"

/*
 * The last JSON object in the text that has the member key, wherever it stands (alone, in a fenced
 * block, between words). New reference, or NULL.
 */
json_t *answer_json(const char *text, size_t len, const char *key);

struct answer_review {
	bool success;
	size_t issues, blockers;
	char summary[512]; /* or "" */
	char blocker[512]; /* the first blocker's description, or "" */
};

/* The verdict of a review; -1 when the text holds none. */
int answer_review(const char *text, size_t len, struct answer_review *out);

struct answer_tests {
	char command[512];
	long long exit_code, passed, failed, skipped;
};

/* test_results.json; INVALID_ARGUMENT names what is wrong. */
int answer_tests(const char *text, size_t len, struct answer_tests *out, struct awo_err *err);

/* Title (one line, at most 200 bytes) and body of a change: from a JSON object, else the first line
 * and the rest. */
bool answer_title(const char *text, size_t len, char title[256], struct buf *body);

/* The last line of the text when it is a possible name of a branch with a '/' in it. */
bool answer_branch(const char *text, size_t len, char out[256]);
bool answer_is_branch(const char *name);
/* "feat: ...", "fix(parser)!: ..." */
bool answer_is_conventional(const char *line);
/* The number in the first "#42" or "issue 42" of a request, into out; false when there is none. */
bool answer_issue(const char *text, char out[20]);
/* Whether a path (relative, slashes) is where plans are kept: PRPs/..., specs/..., plan*.md in any
 * directory. */
bool answer_is_plan(const char *path);

#endif
