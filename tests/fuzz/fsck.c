/* Raw trees, and .gitmodules, that an agent made. */
#include "awo-worker/git/fsck.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clean.h"
#include "tests/fuzz/fuzz.h"

struct seen {
	const uint8_t *p;
	size_t len, entries;
};

static int
on_entry(const struct fsck_entry *e, void *arg)
{
	struct seen *s = arg;
	const uint8_t *name = (const uint8_t *)e->name;

	FUZZ_CHECK(name >= s->p && name + e->len + 21 <= s->p + s->len);
	FUZZ_CHECK(e->oid == name + e->len + 1 && e->name[e->len] == '\0');
	FUZZ_CHECK(e->len > 0 && strlen(e->name) == e->len && strchr(e->name, '/') == NULL);
	FUZZ_CHECK(strcasecmp(e->name, ".git") != 0 && strcmp(e->name, "..") != 0);
	(void)fsck_is_gitmodules(e->name, e->len);
	s->entries++;
	return 0;
}

/* As names stand in trees: with a NUL behind them. */
static void
check_name(struct fuzz_in *in)
{
	size_t len;
	char *name CLEAN_FREE = fuzz_until(in, 0, &len);

	if (strcasecmp(name, ".git") == 0)
		FUZZ_CHECK(fsck_is_dotgit(name, len));
	if (strcasecmp(name, ".gitmodules") == 0)
		FUZZ_CHECK(fsck_is_gitmodules(name, len));
	(void)fsck_is_dotgit(name, len);
	(void)fsck_is_gitmodules(name, len);
}

/* One byte: whether it is a tree, the content of .gitmodules, or a name. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	struct seen s;
	const char *bad, *name;

	switch (fuzz_u8(&in) % 3) {
	case 0:
		s = (struct seen){in.p, in.len, 0};
		bad = fsck_tree(in.p, in.len, on_entry, &s, &name);
		FUZZ_CHECK(bad != NULL || name == NULL);
		FUZZ_CHECK(bad != NULL || s.entries * 24 <= in.len);
		break;
	case 1:
		(void)fsck_gitmodules((const char *)in.p, in.len);
		break;
	default:
		check_name(&in);
		break;
	}
	return 0;
}
