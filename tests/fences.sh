#!/bin/sh
# Fails when a file uses a library or another room's header that only others may use: fences.sh SOURCE_DIRECTORY
set -eu
cd "$1"
tree="common proto awod awo-worker awoctl docs"
[ -d awo-gateway ] && tree="$tree awo-gateway"
failed=0

# Lines "file:number:text" that have the pattern, outside of the files that may have it.
outside() {
	{ grep -E "^[^:]*:[0-9]+:.*($1)" || true; } | { grep -vE "^($2):" || true; }
}

# fence WHAT PATTERN WHO-MAY EXAMPLE: everything but WHO-MAY keeps away from PATTERN; EXAMPLE is a line that must be found.
fence() {
	if [ -z "$(printf '%s\n' "$4" | outside "$2" "$3")" ]; then
		echo "fences.sh: the fence around $1 would let this pass: $4"
		failed=1
	fi
	found=$(outside "$2" "$3" <"$lines")
	[ -z "$found" ] && return
	printf '%s: only in %s\n%s\n' "$1" "$3" "$found"
	failed=1
}

lines=$(mktemp)
trap 'rm -f "$lines"' EXIT
# shellcheck disable=SC2086
grep -rnE --include='*.c' --include='*.h' '#[[:space:]]*include|fork|clone|spawn|popen|system' $tree >"$lines"
include='#[[:space:]]*include[[:space:]]*'

fence "SQLite" "${include}<sqlite3\.h" 'awod/(store_priv\.h|sqlite_log\.c)' 'awod/engine.c:1:#include <sqlite3.h>'
fence "the store's own header" "${include}\"awod/store_priv\.h" 'awod/store_[a-z]+\.c' 'awod/engine.c:1:#include "awod/store_priv.h"'
fence "msgpack-c" "${include}<msgpack" 'proto/msgpack\.c' 'proto/scan.c:1:# include <msgpack.h>'
fence "libgit2" "${include}<git2" 'awo-worker/git/[^:]*' 'awo-worker/main.c:1:#include <git2/sys/odb_backend.h>'
fence "libcurl" "${include}<curl/" 'awo-worker/forge/[^:]*' 'awo-worker/git/fetch.c:1:#include <curl/curl.h>'
fence "evhttp" "${include}<(event2/http|evhttp)" 'awo-gateway/[^:]*' 'awod/listen.c:1:#include <event2/http.h>'
fence "libsystemd" "${include}<systemd/" 'common/sd\.c' 'awod/main.c:1:#include <systemd/sd-daemon.h>'
fence "libyaml" "${include}<yaml\.h" 'proto/yaml\.c' 'awod/config.c:1:#include <yaml.h>'
fence "libseccomp" "${include}<seccomp\.h" 'awo-worker/seccomp\.c' 'awo-worker/launch.c:1:#include <seccomp.h>'

# a program's headers are its own; the manual pages are made from the tables of two
fence "awod's headers" "${include}\"awod/[a-z_]*([^g]|[^i]g|[^f]ig)\.h" '(awod|docs)/[^:]*' 'awoctl/doctor.c:1:#include "awod/engine.h"'
# the gateway reads the same file in the same way
fence "awod's configuration" "${include}\"awod/config\.h" '(awod|docs|awo-gateway)/[^:]*' 'awoctl/doctor.c:1:#include "awod/config.h"'
fence "awo-worker's headers" "${include}\"awo-worker/" 'awo-worker/[^:]*' 'awod/spawn.c:1:#include "awo-worker/job.h"'
fence "awoctl's headers" "${include}\"awoctl/" '(awoctl|docs)/[^:]*' 'awod/main.c:1:#include "awoctl/ctl.h"'
fence "awo-gateway's headers" "${include}\"awo-gateway/" 'awo-gateway/[^:]*' 'awod/main.c:1:#include "awo-gateway/http.h"'
fence "proto's headers" "${include}\"proto/[a-z]+\.h" '(proto|awod|awo-worker|awoctl|awo-gateway|docs)/[^:]*' \
	'common/log.c:1:#include "proto/schema.h"'

# Who starts processes: awod's supervisor and spawn; the worker's sandbox, launch and helpers; the demonstration agent, which
# plays an agent; awoctl's connection over ssh, its doctor, which tries namespaces, and ui, which opens a browser; gh, run by
# awod for its token.
fence "new processes" '(^|[^A-Za-z0-9_>.])(fork|vfork|_Fork|clone|clone3|posix_spawnp?|popen|system) ?\(|SYS_(clone3?|v?fork)' \
	"awod/(supervisor|spawn|gh_token)\.c|awo-worker/(sandbox|launch|helper)\.c|awo-worker/demo/[^:]*|awoctl/(cmd_ui|connect|doctor)\.c" \
	'awod/engine.c:1:	pid = fork();'
exit $failed
