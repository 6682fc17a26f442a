/* Gathers what SQLite writes to its write-ahead log: two small writes a page become one a commit. */
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "awod/sqlite_log.h"

#define ROOM 123600 /* of one write: thirty pages with their headers */

struct log_file {
	sqlite3_file base;
	char *bytes; /* ROOM, of which `used` are to be written at `at` */
	int used;
	sqlite3_int64 at;
	sqlite3_file *real; /* behind this, in memory that SQLite gives */
};

static sqlite3_vfs vfs;
static sqlite3_vfs *real_vfs;

/* What cannot be written is dropped: the commit fails, and whoever commits next writes in its place. */
static int
hand_over(struct log_file *f)
{
	int n = f->used;

	f->used = 0;
	return n == 0 ? SQLITE_OK : f->real->pMethods->xWrite(f->real, f->bytes, n, f->at);
}

static int
log_write(sqlite3_file *file, const void *from, int n, sqlite3_int64 at)
{
	struct log_file *f = (struct log_file *)file;

	if (at != f->at + f->used || n > ROOM - f->used) {
		int rc = hand_over(f);

		if (rc != SQLITE_OK)
			return rc;
		f->at = at;
	}
	if (n > ROOM)
		return f->real->pMethods->xWrite(f->real, from, n, at);
	memcpy(f->bytes + f->used, from, (size_t)n);
	f->used += n;
	return SQLITE_OK;
}

static int
log_sync(sqlite3_file *file, int flags)
{
	struct log_file *f = (struct log_file *)file;
	int rc = hand_over(f);

	return rc != SQLITE_OK ? rc : f->real->pMethods->xSync(f->real, flags);
}

/* ---- between commits, when nothing is gathered */

static int
log_read(sqlite3_file *file, void *to, int n, sqlite3_int64 at)
{
	struct log_file *f = (struct log_file *)file;
	int rc = hand_over(f);

	return rc != SQLITE_OK ? rc : f->real->pMethods->xRead(f->real, to, n, at);
}

static int
log_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct log_file *f = (struct log_file *)file;
	int rc = hand_over(f);

	return rc != SQLITE_OK ? rc : f->real->pMethods->xTruncate(f->real, size);
}

static int
log_size(sqlite3_file *file, sqlite3_int64 *size)
{
	struct log_file *f = (struct log_file *)file;
	int rc = hand_over(f);

	return rc != SQLITE_OK ? rc : f->real->pMethods->xFileSize(f->real, size);
}

static int
log_close(sqlite3_file *file)
{
	struct log_file *f = (struct log_file *)file;

	free(f->bytes);
	f->bytes = NULL;
	return f->real->pMethods->xClose(f->real);
}

/* ---- what the real file answers */

static sqlite3_file *
real_file(sqlite3_file *file)
{
	return ((struct log_file *)file)->real;
}

static int
log_lock(sqlite3_file *file, int level)
{
	return real_file(file)->pMethods->xLock(real_file(file), level);
}

static int
log_unlock(sqlite3_file *file, int level)
{
	return real_file(file)->pMethods->xUnlock(real_file(file), level);
}

static int
log_is_reserved(sqlite3_file *file, int *is_reserved)
{
	return real_file(file)->pMethods->xCheckReservedLock(real_file(file), is_reserved);
}

static int
log_control(sqlite3_file *file, int op, void *arg)
{
	return real_file(file)->pMethods->xFileControl(real_file(file), op, arg);
}

static int
log_sector_size(sqlite3_file *file)
{
	return real_file(file)->pMethods->xSectorSize(real_file(file));
}

static int
log_device(sqlite3_file *file)
{
	return real_file(file)->pMethods->xDeviceCharacteristics(real_file(file));
}

/* of the first version: shared memory and mapped pages are the database file's */
static const sqlite3_io_methods methods = {
    .iVersion = 1,
    .xClose = log_close,
    .xRead = log_read,
    .xWrite = log_write,
    .xTruncate = log_truncate,
    .xSync = log_sync,
    .xFileSize = log_size,
    .xLock = log_lock,
    .xUnlock = log_unlock,
    .xCheckReservedLock = log_is_reserved,
    .xFileControl = log_control,
    .xSectorSize = log_sector_size,
    .xDeviceCharacteristics = log_device,
};

static int
open_file(sqlite3_vfs *self, const char *name, sqlite3_file *file, int flags, int *out_flags)
{
	struct log_file *f = (struct log_file *)file;
	int rc;

	(void)self;
	if (!(flags & SQLITE_OPEN_WAL))
		return real_vfs->xOpen(real_vfs, name, file, flags, out_flags);
	memset(f, 0, sizeof(*f));
	f->real = (sqlite3_file *)(f + 1);
	f->real->pMethods = NULL;
	if (!(f->bytes = malloc(ROOM)))
		return SQLITE_NOMEM;
	rc = real_vfs->xOpen(real_vfs, name, f->real, flags, out_flags);
	/* a file that has methods is closed, whether it was opened or not */
	if (f->real->pMethods != NULL)
		f->base.pMethods = &methods;
	else
		free(f->bytes);
	return rc;
}

static void
make_vfs(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	if (!real_vfs)
		return;
	/* all else is the real one's, which finds in the copy what it finds in itself */
	vfs = *real_vfs;
	vfs.zName = SQLITE_LOG_VFS;
	vfs.pNext = NULL;
	vfs.szOsFile += (int)sizeof(struct log_file);
	vfs.xOpen = open_file;
}

int
sqlite_log_register(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_vfs);
	return real_vfs ? sqlite3_vfs_register(&vfs, 0) : SQLITE_ERROR;
}
