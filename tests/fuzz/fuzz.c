/* What the fuzz targets share: taking inputs apart, files for parsers that want files. */
#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/clean.h"
#include "common/files.h"
#include "common/log.h"

/* Before main(), which is libFuzzer's. */
__attribute__((constructor)) static void
prepare(void)
{
	/* the same order of members each time, so that an input does the same each time */
	json_object_seed(1);
	/* what is wrong with an input is said in answers; the program's log is noise here */
	log_set(LOG_FMT_TEXT, (enum log_lvl)(LOG_LVL_ERROR + 1));
}

void
fuzz_failed(const char *cond, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, cond);
	abort();
}

unsigned
fuzz_u8(struct fuzz_in *in)
{
	if (in->len == 0)
		return 0;
	in->len--;
	return *in->p++;
}

unsigned
fuzz_u16(struct fuzz_in *in)
{
	unsigned high = fuzz_u8(in);

	return high << 8 | fuzz_u8(in);
}

char *
fuzz_until(struct fuzz_in *in, uint8_t end, size_t *len)
{
	const uint8_t *hit = in->len > 0 ? memchr(in->p, end, in->len) : NULL;
	size_t n = hit != NULL ? (size_t)(hit - in->p) : in->len;
	char *s = xcalloc(n + 1, 1);

	if (n > 0)
		memcpy(s, in->p, n);
	if (len != NULL)
		*len = n;
	n += hit != NULL;
	in->p = in->len > 0 ? in->p + n : in->p;
	in->len -= n;
	return s;
}

size_t
fuzz_piece(uint32_t *seed, size_t left)
{
	size_t n;

	*seed = *seed * 1664525U + 1013904223U;
	n = (size_t)1 + (*seed >> 8) % (1U << (*seed >> 28));
	return n < left ? n : left;
}

int
fuzz_file(const void *p, size_t len)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	FUZZ_CHECK(fd >= 0 && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	FUZZ_CHECK(len == 0 || files_write_all(fd, p, len) == 0);
	return fd;
}

static char dir[256];

static void
remove_dir(void)
{
	(void)files_remove_tree(AT_FDCWD, dir, NULL);
}

const char *
fuzz_dir(void)
{
	if (dir[0] == '\0') {
		/* where somebody clears away after a process that ended badly; else memory, where
		 * there is some: every input writes here */
		const char *parent = getenv("AWO_FUZZ_DIR");

		if (parent == NULL)
			parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
		FUZZ_CHECK((size_t)snprintf(dir, sizeof(dir), "%s/awo-fuzz-XXXXXX", parent) <
			   sizeof(dir));
		FUZZ_CHECK(mkdtemp(dir) != NULL);
		atexit(remove_dir);
	}
	return dir;
}

void
fuzz_write(const char *name, const void *p, size_t len)
{
	CLEAN_FREE char *path = xasprintf("%s/%s", fuzz_dir(), name);
	CLEAN_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	FUZZ_CHECK(fd >= 0 && (len == 0 || files_write_all(fd, p, len) == 0));
}
