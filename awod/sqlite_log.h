/* A VFS of SQLite's that hands the write-ahead log of a commit to the kernel in one write. */
#ifndef AWOD_SQLITE_LOG_H
#define AWOD_SQLITE_LOG_H

#define SQLITE_LOG_VFS "awo-log"

/*
 * Registers the VFS named above, which is the process's default one but for the log's writes: they are gathered until the log
 * is synced, read or looked at. For a connection with synchronous=FULL only: it syncs each commit before other connections are
 * told of it. To be called after others that register a default VFS; more calls do nothing. Returns SQLite's result code.
 */
int sqlite_log_register(void);

#endif
