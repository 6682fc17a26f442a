/* The system call filter of the agent's sandbox. */
#ifndef WORKER_SECCOMP_H
#define WORKER_SECCOMP_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

/* The filter as the kernel wants it (an array of struct sock_filter), compiled at the first call; belongs to this file. */
int seccomp_program(const void **program, size_t *bytes, struct awo_err *err);
/* Puts a program in force for the calling process and all that it starts, for ever. Needs no_new_privs. -1 with errno. */
int seccomp_apply(const void *program, size_t bytes);

#endif
