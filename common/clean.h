/* Cleanup attributes for locals, and the macros that hand ownership over. */
#ifndef COMMON_CLEAN_H
#define COMMON_CLEAN_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void clean_free(void *p) { free(*(void **)p); }
static inline void clean_fd(int *fd) { if (*fd >= 0) close(*fd); }
static inline void clean_file(FILE **f) { if (*f) fclose(*f); }
static inline void clean_json(json_t **j) { json_decref(*j); }

#define CLEAN_FREE __attribute__((cleanup(clean_free)))
#define CLEAN_FD __attribute__((cleanup(clean_fd)))
#define CLEAN_FILE __attribute__((cleanup(clean_file)))
#define CLEAN_JSON __attribute__((cleanup(clean_json)))

#define TAKE_PTR(p) __extension__({ __typeof__(p) take_ = (p); (p) = NULL; take_; })
#define TAKE_FD(fd) __extension__({ int take_ = (fd); (fd) = -1; take_; })

#endif
