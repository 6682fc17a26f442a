/* Runs awo-git as its callers do, and git itself to compare with. */
#ifndef TESTS_GIT_RUN_H
#define TESTS_GIT_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A temporary directory for the whole test program, made at the first call and current directory
 * from then on. */
int git_run_setup(void **state);
int git_run_teardown(void **state);

/* The output of a shell command without its last newline, valid until the next call. Fails the test
 * unless it exits 0. */
const char *sh(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The exit status. */
int sh_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Runs a verb in a directory (NULL: here) with a request that is consumed; descriptor 3 is read
 * from (pack_in) or written to (pack_out). Gives the last line of the answer, which the caller
 * frees; the exit status must match it.
 */
json_t *awo(
    const char *verb, const char *dir, json_t *request, const char *pack_in, const char *pack_out);
/* The same in two halves, so that several can run at once. */
struct awo_run {
	pid_t pid;
	int answer;
	bool exports;
};
void awo_start(struct awo_run *run, const char *verb, const char *dir, json_t *request,
    const char *pack_in, const char *pack_out);
json_t *awo_finish(struct awo_run *run);
/* The same, which must succeed; a field of the answer by key is borrowed from it. */
json_t *awo_ok(const char *verb, const char *dir, json_t *request);
/* The same, which must fail with this category and reason, and this text in its message. */
void awo_fails(const char *verb, const char *dir, json_t *request, const char *category,
    const char *reason, const char *text);
void assert_error(json_t *answer, const char *category, const char *reason, const char *text);
const char *str(const json_t *answer, const char *key);
long long num(const json_t *answer, const char *key);

#endif
