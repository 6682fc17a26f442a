/* Asks an agent's program for its version, inside a sandbox of the agents' kind. */
#ifndef WORKER_AGENT_VERSION_H
#define WORKER_AGENT_VERSION_H

#include <jansson.h>
#include <stddef.h>

#include "awo-worker/failure.h"

/*
 * Entry of a task: finds the request's program on the host, builds the worker's root around it,
 * runs "program --version". request: {program, paths, agent, adapter}; the latter two are for its
 * environment and the words of a failure. New reference: {"ok":true, "path", "version"}, or
 * {"ok":false, "error":{category, reason, message, path}}, path only when the program was found.
 */
json_t *agent_version(const json_t *request, const char *libexec_dir);

/*
 * The first line with something on it, trimmed, made valid UTF-8 without control characters, at
 * most AGENT_VERSION_MAX bytes. Returns its length, 0 when there is none; out is NUL-terminated.
 */
#define AGENT_VERSION_MAX 256
size_t agent_version_line(const char *p, size_t len, char out[AGENT_VERSION_MAX + 1]);

#endif
