/* A VFS of SQLite's that hands the write-ahead log of a commit to the kernel in one write. */
#ifndef AWOD_SQLITE_LOG_H
#define AWOD_SQLITE_LOG_H

#define SQLITE_LOG_VFS "awo-log"
/* What a connection that uses it has to be told before it writes. */
#define SQLITE_LOG_PRAGMAS "PRAGMA synchronous = FULL; PRAGMA cache_spill = OFF"

/*
 * Registers the VFS named above, which is the process's default one but for the log's writes: what a commit writes is gathered
 * until the log is synced. For a connection with synchronous=FULL, which syncs each commit before others are told of it, and
 * with cache_spill=OFF, so that nothing but a commit writes to the log: then nothing is gathered between two commits, whatever
 * became of them. Not with psow=0. To be called after others that register a default VFS; more calls do nothing. Returns
 * SQLite's result code.
 */
int sqlite_log_register(void);

#endif
