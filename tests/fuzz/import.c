/* A clean repository that takes in what an agent made, and is looked at afterwards: commits, trees and blobs of any
 * content, packed as they should be. */
#include <fcntl.h>
#include <git2.h>
#include <git2/sys/mempack.h>
#include <git2/sys/odb_backend.h>
#include <git2/sys/repository.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "awo-worker/git/repo.h"
#include "awo-worker/git/verbs.h"
#include "common/clean.h"
#include "common/files.h"
#include "proto/schema.h"
#include "tests/fuzz/fuzz.h"

#define PACK_FD 3
#define OBJECTS_MAX 32

static char *clean_dir;
static git_oid base[3]; /* commit, tree, blob */

/* libgit2 loses memory on some of its error paths; awo-git ends after each verb.
 * NOLINTNEXTLINE(bugprone-reserved-identifier) */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

/* Before anything else can have the number. */
__attribute__((constructor)) static void
reserve(void)
{
	int fd = open("/dev/null", O_RDONLY);

	FUZZ_CHECK(fd >= 0 && (fd == PACK_FD || dup2(fd, PACK_FD) == PACK_FD));
}

/* Back to how it was. */
static void
forget(void)
{
	static const char *const gone[] = {"objects/pack", "refs/awo", "awo-incoming"};

	for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
		char *path CLEAN_FREE = xasprintf("%s/%s", clean_dir, gone[i]);

		(void)files_remove_tree(AT_FDCWD, path, NULL);
		/* the workspace makes them */
		if (i < 2)
			FUZZ_CHECK(files_mkdirs(AT_FDCWD, path, 0700) == 0);
	}
}

/* The repository as it is before an import: a commit with one file. */
static void
prepare(void)
{
	static const char text[] = "one\ntwo\n";
	CLEAN_GIT(repository) git_repository *repo = NULL;
	CLEAN_GIT(signature) git_signature *who = NULL;
	CLEAN_GIT(tree) git_tree *tree = NULL;
	struct task t = {0};
	git_treebuilder *tb = NULL;

	FUZZ_CHECK(repo_start(&t) == 0);
	(void)git_libgit2_opts(GIT_OPT_ENABLE_CACHING, 0);
	clean_dir = xasprintf("%s/clean.git", fuzz_dir());
	FUZZ_CHECK(git_repository_init(&repo, clean_dir, 1) == 0);
	FUZZ_CHECK(git_blob_create_from_buffer(&base[2], repo, text, sizeof(text) - 1) == 0);
	FUZZ_CHECK(git_treebuilder_new(&tb, repo, NULL) == 0);
	FUZZ_CHECK(git_treebuilder_insert(NULL, tb, "file", &base[2], GIT_FILEMODE_BLOB) == 0);
	FUZZ_CHECK(git_treebuilder_write(&base[1], tb) == 0);
	git_treebuilder_free(tb);
	FUZZ_CHECK(git_tree_lookup(&tree, repo, &base[1]) == 0);
	FUZZ_CHECK(git_signature_new(&who, "A", "a@example.org", 1000000000, 0) == 0);
	FUZZ_CHECK(git_commit_create(&base[0], repo, "refs/heads/main", who, who, NULL, "first", tree, 0, NULL) == 0);
	forget();
}

struct made {
	git_oid oid[OBJECTS_MAX];
	size_t n;
	git_oid head;
};

/* The bytes of an object: 1 and a number stand for an object's name, 2 and a number for the same in hexadecimal. */
static void
content(struct fuzz_in *in, const struct made *m, struct buf *b)
{
	size_t len = fuzz_u16(in) % 8192;
	struct fuzz_in part = {in->p, len < in->len ? len : in->len};

	in->p += part.len;
	in->len -= part.len;
	while (part.len > 0) {
		unsigned c = fuzz_u8(&part);
		const git_oid *oid;
		char hex[GIT_OID_HEXSZ + 1];

		if (c != 1 && c != 2) {
			buf_addc(b, (char)c);
			continue;
		}
		oid = &base[0];
		len = fuzz_u8(&part);
		if (len >= 253)
			oid = &base[255 - len];
		else if (m->n > 0)
			oid = &m->oid[len % m->n];
		if (c == 1)
			buf_add(b, (const char *)oid->id, GIT_OID_RAWSZ);
		else
			buf_adds(b, git_oid_tostr(hex, sizeof(hex), oid));
	}
}

static int
on_chunk(void *p, size_t n, void *arg)
{
	buf_add(arg, p, n);
	return 0;
}

/* Objects made of the input, in a pack that only their content is wrong with. */
static void
make(struct fuzz_in *in, struct made *m, struct buf *pack)
{
	static const git_object_t types[] = {GIT_OBJECT_COMMIT, GIT_OBJECT_TREE, GIT_OBJECT_BLOB, GIT_OBJECT_TAG};
	CLEAN_GIT(odb) git_odb *odb = NULL;
	CLEAN_GIT(repository) git_repository *repo = NULL;
	CLEAN_GIT(packbuilder) git_packbuilder *pb = NULL;
	git_odb_backend *backend = NULL;

	FUZZ_CHECK(git_odb_new(&odb) == 0 && git_mempack_new(&backend) == 0);
	FUZZ_CHECK(git_odb_add_backend(odb, backend, 999) == 0 && git_repository_wrap_odb(&repo, odb) == 0);
	FUZZ_CHECK(git_packbuilder_new(&pb, repo) == 0);
	(void)git_packbuilder_set_threads(pb, 1);
	while (in->len > 0 && m->n < OBJECTS_MAX) {
		CLEAN_BUF struct buf b = {0};
		git_object_t type = types[fuzz_u8(in) % 4];
		git_oid *oid = &m->oid[m->n];

		content(in, m, &b);
		FUZZ_CHECK(git_odb_write(oid, odb, b.p != NULL ? b.p : "", b.len, type) == 0);
		FUZZ_CHECK(git_packbuilder_insert(pb, oid, NULL) == 0);
		m->n++;
		if (type == GIT_OBJECT_COMMIT)
			m->head = *oid;
	}
	FUZZ_CHECK(git_packbuilder_foreach(pb, on_chunk, pack) == 0);
}

static void
give(const struct buf *pack)
{
	int fd = fuzz_file(pack->p, pack->len);

	FUZZ_CHECK(lseek(fd, 0, SEEK_SET) == 0 && dup2(fd, PACK_FD) == PACK_FD);
}

/* Runs a verb as awo-git does; the answer, or NULL when it was refused. */
static json_t *
run(int (*verb)(struct task *t, json_t *answer), json_t *request)
{
	static const char *const categories[] = {"git", "transient", "permanent", "resource", "internal"};
	struct git_state state = {0};
	struct task t = {.req = request, .needs = NEED_CLEAN, .state = &state};
	json_t *answer = json_object();
	char *text CLEAN_FREE = NULL;
	bool known = false;

	json_object_set_new(request, "clean_dir", json_string(clean_dir));
	FUZZ_CHECK(repo_open(&t, clean_dir, true, false, &state.repo) == 0);
	if (verb(&t, answer) == 0) {
		text = json_dumps(answer, 0);
		FUZZ_CHECK(text != NULL);
	} else {
		for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++)
			known = known || strcmp(categories[i], t.err.category) == 0;
		FUZZ_CHECK(known && t.err.reason != NULL && t.err.msg[0] != '\0');
		/* an agent's fault is never ours */
		if (strcmp(t.err.category, "internal") == 0)
			fuzz_failed(t.err.msg, __FILE__, __LINE__);
		json_decref(answer);
		answer = NULL;
	}
	git_repository_free(state.repo);
	json_decref(request);
	return answer;
}

static void
check_progress(json_t *answer)
{
	struct p_git_progress progress;
	struct awo_err err = {0};

	FUZZ_CHECK(answer != NULL);
	json_object_set_new(answer, "agent_work_order_id", json_string("wo-12345678"));
	if (p_from_json(&p_type_git_progress, &progress, answer, false, &err) != 0)
		fuzz_failed(err.msg, __FILE__, __LINE__);
	P_FREE(git_progress, &progress);
}

/* Everything that is asked of a repository can be asked of this one, now that it was taken in. */
static void
look(const char *from, const char *to)
{
	json_t *list = run(verb_changed, json_pack("{s:s,s:s}", "base_sha", from, "head", to)), *e;
	size_t i;

	FUZZ_CHECK(list != NULL);
	json_array_foreach(json_object_get(list, "files"), i, e)
	{
		const char *path = json_string_value(json_object_get(e, "path"));

		FUZZ_CHECK(path != NULL && *path != '\0');
		if (i < 4) {
			json_decref(run(verb_show, json_pack("{s:s,s:s}", "sha", to, "path", path)));
			json_decref(run(verb_diff, json_pack("{s:s,s:s,s:s}", "base_sha", from, "head", to, "path", path)));
		}
	}
	json_decref(list);
	list = run(verb_progress, json_pack("{s:s}", "base_sha", from));
	check_progress(list);
	json_decref(list);
	json_decref(run(verb_diff, json_pack("{s:s,s:s,s:s}", "base_sha", from, "head", to, "format", "patch")));
}

/* A byte with what the head is and whether the rest is a pack as it stands, or objects to be packed. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_in in = {data, size};
	unsigned how = fuzz_u8(&in);
	CLEAN_BUF struct buf pack = {0};
	struct made m = {0};
	char from[GIT_OID_HEXSZ + 1], to[GIT_OID_HEXSZ + 1];
	json_t *answer CLEAN_JSON = NULL;

	if (clean_dir == NULL)
		prepare();
	m.head = base[0];
	if (how & 1)
		buf_add(&pack, (const char *)in.p, in.len);
	else
		make(&in, &m, &pack);
	/* HEAD is an object that is no commit */
	if (how & 2 && m.n > 0)
		m.head = m.oid[m.n - 1];
	give(&pack);
	git_oid_tostr(from, sizeof(from), &base[0]);
	git_oid_tostr(to, sizeof(to), &m.head);
	answer = run(verb_import, json_pack("{s:s,s:s,s:i,s:i}", "base_sha", from, "head", to, "max_objects", 1000, "max_bytes", 1 << 20));
	if (answer != NULL) {
		FUZZ_CHECK(strcmp(json_string_value(json_object_get(answer, "head_sha")), to) == 0);
		FUZZ_CHECK(json_is_array(json_object_get(answer, "commits")));
		look(from, to);
	}
	forget();
	return 0;
}
