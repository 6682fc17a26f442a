/* What a worker is to do, as the broker says it: the job specification made a struct. */
#ifndef WORKER_JOB_H
#define WORKER_JOB_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "proto/schema.h"

#define JOB_BYTES_MAX (4U << 20)

struct job_step {
	char *name;
	int64_t number;
	int64_t gate; /* a person must have opened the gate of this number before it; 0: none */
};

struct job_prompt {
	int64_t id;
	char *text;
};

/* Strings that may be missing are NULL; all belong to the job. */
struct job {
	char *id, *nonce;
	int64_t attempt;
	char *url, *canonical, *owner, *name, *host, *local_path;
	bool is_local;
	char *sandbox_type, *base_branch, *branch_prefix, *branch_id;
	char *user_request, *workflow_type, *issue;
	struct job_step *steps;
	size_t nsteps;
	int64_t total_steps;
	struct {
		char *branch, *base_sha, *head_sha, *plan_file, *session_id, *pushed_sha,
		    *pr_number, *pr_url, *phase;
		bool reset;
	} resume;
	struct job_prompt *prompts;
	size_t nprompts;
	struct {
		char *name, *adapter, *program, *model;
		int64_t max_turns; /* 0: none */
		struct p_strv args, paths;
		struct p_strv env; /* "KEY=value" */
	} agent;
	struct {
		char *kind, *user, *secret; /* git; kind NULL: none */
		char *forge_token;
	} credentials;
	struct {
		char *kind, *api_url, *owner, *repo;
		bool comment_on_issue;
	} forge;
	struct {
		char *author_name, *author_email, *known_hosts;
		int64_t timeout, max_import_bytes, max_import_objects;
	} git;
	bool fetching; /* the cache is being brought up to date: the broker says when it is */
	bool trust_repository;
	char *extra_commands; /* further directory of command files, or NULL */
	bool tests_must_pass;
	struct {
		int64_t step, idle, order, elapsed, kill; /* seconds; order 0: none */
	} timeouts;
	struct {
		int64_t log_bytes, nofile, fsize, nproc, core, memlock;
	} limits;
	int64_t ports_start, ports_count;
	bool keep_prompts, keep_outputs;
	json_t *context;
	struct p_strv require;
};

/*
 * Parses the specification. *job is always to be freed. On failure (INVALID_ARGUMENT) *err names
 * the field.
 */
int job_parse(struct job *job, const char *text, size_t len, struct awo_err *err);
void job_free(struct job *job);

/* A name that may stand in a path and in a log: letters, digits, '-', '_', '.', not beginning with
 * '.' or '-'. */
bool job_is_name(const char *s);

#endif
