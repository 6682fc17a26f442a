/* What kind of work a commit is, from its message and the files that it touches; no I/O. */
#ifndef GIT_PHASE_H
#define GIT_PHASE_H

#include <stdbool.h>
#include <stddef.h>

enum phase { PHASE_NONE, PHASE_PLANNING, PHASE_IMPLEMENTING, PHASE_TESTING };

/* The name in proto/types.def; NULL for PHASE_NONE. */
const char *phase_name(enum phase p);

/* What the paths of one commit have in common; PHASE_FILES_INIT, then each path once. */
struct phase_files {
	size_t n;
	bool all_planning, all_tests, all_documents, any_test;
};
#define PHASE_FILES_INIT                                                                           \
	{                                                                                          \
		0, true, true, true, false                                                         \
	}
void phase_add_path(struct phase_files *f, const char *path);
/* No further path can change the answer. */
bool phase_files_settled(const struct phase_files *f);

/*
 * The commit's phase by its message alone, PHASE_NONE when the files must be known too; then by
 * both.
 */
enum phase phase_of_message(const char *message);
enum phase phase_of_commit(const char *message, const struct phase_files *f);

#endif
