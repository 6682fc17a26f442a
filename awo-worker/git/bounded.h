/* A limit for the memory that libgit2 takes. */
#ifndef GIT_BOUNDED_H
#define GIT_BOUNDED_H

#include <stdbool.h>
#include <stddef.h>

/* From here on libgit2 gets at most so many bytes more than it has, then is refused memory, which it reports as an error. */
void bounded_begin(size_t bytes);
/* No limit again. Whether memory was refused. */
bool bounded_end(void);

#endif
