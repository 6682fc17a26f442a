/* Trees and .gitmodules that may not come in, and packs that are too large or malformed. */
#include "tests/unit/cmocka_all.h"

#include <fcntl.h>
#include <git2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "awo-worker/git/fsck.h"
#include "awo-worker/git/packscan.h"
#include "common/buf.h"
#include "common/clean.h"
#include "common/files.h"

static const char oid[20] = "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24";

/* A tree of "mode name" pairs. NULL ends. */
static const char *
check(const char *const *entries)
{
	CLEAN_BUF struct buf b = {0};
	const char *name;

	for (; *entries != NULL; entries++) {
		buf_add(&b, *entries, strlen(*entries) + 1);
		buf_add(&b, oid, sizeof(oid));
	}
	return fsck_tree(b.p != NULL ? b.p : "", b.len, NULL, NULL, &name);
}
#define TREE(...) check((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void
good_trees(void **state)
{
	(void)state;
	assert_null(TREE());
	assert_null(TREE("100644 a", "40000 b", "100755 c", "120000 d", "160000 e", "100664 f"));
	/* a directory sorts as if it ended in a slash */
	assert_null(TREE("100644 a-b", "40000 a", "100644 a0"));
	assert_null(TREE("100644 .gitignore", "100644 .gitmodules", "100644 git", "100644 x.git"));
	assert_null(TREE("40000 .git-hooks", "100644 .github", "100644 git~2x"));
	assert_null(TREE("100644 ...", "100644 ..a"));
}

static void
bad_trees(void **state)
{
	static const char *const names[] = {".git", ".GIT", ".Git", ".gIt ", ".git.", ".git . .",
	    "git~1", "GIT~1", ".git:x", ".git::$INDEX_ALLOCATION", "a\\.git", "a\\..\\.git",
	    ".git\\config", ".g\xe2\x80\x8cit", "\xef\xbb\xbf.git", ".gi\xe2\x81\xaft", ".", "..",
	    "a/b", "/"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char entry[64];

		(void)snprintf(entry, sizeof(entry), "40000 %s", names[i]);
		if (TREE(entry) == NULL)
			fail_msg("taken: %s", names[i]);
		(void)snprintf(entry, sizeof(entry), "100644 %s", names[i]);
		assert_non_null(TREE(entry));
	}
	assert_non_null(TREE("100644 "));
	assert_non_null(TREE("100644 b", "100644 a"));
	assert_non_null(TREE("100644 a", "100644 a"));
	assert_non_null(TREE("100644 a", "100644 a-b", "40000 a"));
	assert_non_null(TREE("100644 a", "40000 a"));
	assert_non_null(TREE("100600 a"));
	assert_non_null(TREE("0100644 a"));
	assert_non_null(TREE("040000 a"));
	assert_non_null(TREE("100000 a"));
	assert_non_null(TREE("60000 a"));
	assert_non_null(TREE("x a"));
	assert_non_null(TREE("120000 .gitmodules"));
	assert_non_null(TREE("120000 .GITMODULES"));
	assert_non_null(TREE("120000 gitmod~1"));
}

static void
cut_trees(void **state)
{
	static const char whole[] =
	    "100644 a\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24";
	const char *name;

	(void)state;
	assert_null(fsck_tree(whole, sizeof(whole) - 1, NULL, NULL, &name));
	for (size_t n = 1; n < sizeof(whole) - 1; n++) {
		char *exact = malloc(n);

		memcpy(exact, whole, n);
		assert_non_null(fsck_tree(exact, n, NULL, NULL, &name));
		free(exact);
	}
}

static const char *
modules(const char *text)
{
	return fsck_gitmodules(text, strlen(text));
}

static void
gitmodules(void **state)
{
	static const char *const bad[] = {
	    "[submodule \"x\"]\n\turl = --upload-pack=touch /tmp/x\n",
	    "[submodule \"x\"]\n\tURL=\"-oProxyCommand=x\"\n",
	    "[submodule \"x\"] url = -x\n",
	    "[submodule \"x\"]\nurl = \\\n-x\n",
	    "[submodule \"x\"]\n\turl = ext::sh -c x\n",
	    "[submodule \"x\"]\n\turl = https://a/%0ab\n",
	    "[submodule \"x\"]\n\turl = \"https://a/\\nb\"\n",
	    "[submodule \"x\"]\n\tpath = -x\n",
	    "[submodule \"x\"]\n\tpath = ../x\n",
	    "[submodule \"x\"]\n\tpath = /etc\n",
	    "[submodule \"x\"]\n\tupdate = !touch x\n",
	    "[submodule \"../x\"]\n\tpath = x\n",
	    "[submodule \"a/../../x\"]\n\tpath = x\n",
	    "[submodule \"a\\\\..\\\\x\"]\n\tpath = x\n",
	};

	(void)state;
	assert_null(modules(""));
	assert_null(modules("[submodule \"lib\"]\n\tpath = lib/x\n\turl = ../lib.git\n\tupdate = "
			    "rebase\n# url = -x\n"));
	assert_null(
	    modules("[submodule \"lib\"]\n\turl = https://example.org/a-b.git ; -x\n\tshallow\n"));
	assert_null(modules("nonsense\n=\n[\n]\n\"\n\\"));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (modules(bad[i]) == NULL)
			fail_msg("taken: %s", bad[i]);
	}
	assert_non_null(fsck_gitmodules("a\0b", 3));
	/* every beginning of them ends, in bounds */
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (size_t n = 0; n < strlen(bad[i]); n++) {
			char *exact = malloc(n + 1);

			memcpy(exact, bad[i], n);
			(void)fsck_gitmodules(exact, n);
			free(exact);
		}
	}
}

/* ---- commits */

#define TREE_SHA "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

static int
take_name(const unsigned char *named, void *arg)
{
	(void)named;
	++*(int *)arg;
	return 0;
}

/* In memory of exactly its size. */
static const char *
commit(const char *text)
{
	size_t n = strlen(text);
	char *exact = malloc(n);
	const char *bad;
	int named = 0;

	memcpy(exact, text, n);
	bad = fsck_commit(exact, n, take_name, &named);
	free(exact);
	assert_int_equal(named, 1);
	return bad;
}

/* The commits in files of a directory, "<n>.good" and "<n>.bad": names those that git's own fsck judges otherwise. */
static void
ask_git(const char *dir)
{
	CLEAN_FREE char *command = xasprintf("cd %s && command -v git >/dev/null || exit 0; export HOME=$PWD GIT_CONFIG_NOSYSTEM=1; "
	    "git init -q --bare r && git -C r hash-object -t tree -w /dev/null >/dev/null && for f in *.good *.bad; do "
	    "echo \"$(git -C r hash-object -t commit -w --literally $PWD/$f) $f\"; done >ids; "
	    "git -C r fsck --no-dangling >said 2>&1; while read id f; do "
	    "if grep -q \"^error in commit $id\" said; then is=bad; else is=good; fi; "
	    "[ ${f#*.} = $is ] || { echo \"git: $is\"; cat $f; }; done <ids", dir);
	CLEAN_BUF struct buf said = {0};
	char chunk[4096];
	FILE *f = popen(command, "re");
	size_t n;

	assert_non_null(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(&said, chunk, n);
	assert_int_equal(pclose(f), 0);
	if (said.len > 0)
		fail_msg("%s", said.p);
}

static void
put_file(const char *dir, int number, bool good, const char *text)
{
	CLEAN_FREE char *path = xasprintf("%s/%d.%s", dir, number, good ? "good" : "bad");
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static void
commits(void **state)
{
	static const struct {
		const char *person;
		enum { GOOD, BAD, BAD_LATELY } as; /* LATELY: to git from 2.41 on */
	} table[] = {
	    {"A U Thor <a@example.org> 1700000000 +0100", GOOD},
	    {"A U Thor <a@example.org> 0 -0000", GOOD},
	    {"A U Thor <a@example.org> 1 +9999", GOOD},
	    {"A <a> 9223372036854775807 +0000", GOOD},
	    {"A <>  \t1700000000 +0000", GOOD},
	    {" <a@example.org> 1700000000 +0000", GOOD},
	    {"\xff A <\xff> 1700000000 +0000", GOOD},
	    /* badDate */
	    {"A <a@example.org> -1 +0000", BAD},
	    {"A <a@example.org> +1 +0000", BAD_LATELY},
	    {"A <a@example.org> now +0000", BAD},
	    {"A <a@example.org> 17e8 +0000", BAD},
	    {"A <a@example.org> 1700000000", BAD},
	    {"A <a@example.org> 1700000000\t+0000", BAD},
	    {"A <a@example.org> ", BAD},
	    {"A <a@example.org>  ", BAD},
	    /* zeroPaddedDate */
	    {"A <a@example.org> 01700000000 +0000", BAD},
	    {"A <a@example.org> 00 +0000", BAD},
	    /* badDateOverflow */
	    {"A <a@example.org> 9223372036854775808 +0000", BAD},
	    {"A <a@example.org> 18446744073709551615 +0000", BAD},
	    {"A <a@example.org> 18446744073709551617 +0000", BAD},
	    {"A <a@example.org> 99999999999999999999999999999999 +0000", BAD},
	    /* badTimezone */
	    {"A <a@example.org> 1700000000 0000", BAD},
	    {"A <a@example.org> 1700000000  +0000", BAD},
	    {"A <a@example.org> 1700000000 +000", BAD},
	    {"A <a@example.org> 1700000000 +00000", BAD},
	    {"A <a@example.org> 1700000000 +0a00", BAD},
	    {"A <a@example.org> 1700000000 UTC", BAD},
	    {"A <a@example.org> 1700000000 +0000 ", BAD},
	    {"A <a@example.org> 1700000000 ", BAD},
	    /* what stands before the date */
	    {"<a@example.org> 1700000000 +0000", BAD},
	    {"A<a@example.org> 1700000000 +0000", BAD},
	    {"A > <a@example.org> 1700000000 +0000", BAD},
	    {"A <a@<example.org> 1700000000 +0000", BAD},
	    {"A <a@example.org 1700000000 +0000", BAD},
	    {"A a@example.org> 1700000000 +0000", BAD},
	    {"A <a@example.org>1700000000 +0000", BAD},
	    {"A <a@example.org>\t1700000000 +0000", BAD},
	    {"A", BAD},
	    {"", BAD},
	};
	static const char good[] = "A U Thor <a@example.org> 1700000000 +0100";
	char dir[] = "/tmp/awo-fsck-XXXXXX";
	int number = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		for (int author = 0; author < 2; author++) {
			CLEAN_FREE char *text = xasprintf("tree " TREE_SHA "\nauthor %s\ncommitter %s\n\nmessage\n",
			    author ? table[i].person : good, author ? good : table[i].person);

			if ((commit(text) == NULL) != (table[i].as == GOOD))
				fail_msg("%s: %s", table[i].as == GOOD ? "refused" : "taken", text);
			if (table[i].as != BAD_LATELY)
				put_file(dir, number++, table[i].as == GOOD, text);
		}
	}
	ask_git(dir);
	assert_int_equal(files_remove_tree(AT_FDCWD, dir, NULL), 0);
	/* every beginning of one ends, in bounds; the date's own line must be whole */
	for (size_t n = 0; n < sizeof(good); n++) {
		CLEAN_FREE char *text = xasprintf("tree " TREE_SHA "\nauthor %s\ncommitter %.*s", good, (int)n, good);

		assert_non_null(commit(text));
	}
	assert_non_null(commit("tree " TREE_SHA "\ncommitter A <a> 1 +0000\nauthor A <a> 1 +0000\n\n"));
	assert_non_null(commit("tree " TREE_SHA "\nauthor A <a> 1 +0000\nauthor A <a> 1 +0000\n\n"));
}

/* ---- packs
 * --------------------------------------------------------------------------------------------------
 */

static const struct packscan_limits limits = {100, 1000000, 2000000};

static void
pack_head(struct buf *b, unsigned n)
{
	buf_add(b, "PACK\0\0\0\2\0\0", 10);
	buf_addc(b, (char)(n >> 8));
	buf_addc(b, (char)n);
}

/* An entry whose head says `says` bytes and whose data are n times 'x', or p. */
static void
pack_entry(struct buf *b, unsigned type, size_t says, const char *p, size_t n)
{
	size_t cap = n / 10 + 1000, left = says >> 4;
	uLongf out = cap;
	char *raw = malloc(n + 1), *z = malloc(cap);

	if (p != NULL)
		memcpy(raw, p, n);
	else
		memset(raw, 'x', n);
	buf_addc(b, (char)((left > 0 ? 0x80 : 0) | type << 4 | (says & 15)));
	for (; left > 0; left >>= 7)
		buf_addc(b, (char)((left > 0x7f ? 0x80 : 0) | (left & 0x7f)));
	if (type == 7)
		buf_add(b, oid, sizeof(oid));
	if (type == 6)
		buf_addc(b, 5);
	assert_int_equal(compress((Bytef *)z, &out, (Bytef *)raw, n), Z_OK);
	buf_add(b, z, out);
	free(raw);
	free(z);
}

static const char *
scan(struct buf *b, uint32_t *n)
{
	struct packscan_found found;
	const char *bad;

	buf_add(b, oid, sizeof(oid));
	bad = packscan((const unsigned char *)b->p, b->len, &limits, &found);
	*n = found.objects;
	return bad;
}

static void
good_pack(void **state)
{
	CLEAN_BUF struct buf b = {0};
	uint32_t n;

	(void)state;
	pack_head(&b, 4);
	pack_entry(&b, 3, 100, NULL, 100);
	pack_entry(&b, 3, 0, NULL, 0);
	pack_entry(&b, 1, 900000, NULL, 900000);
	pack_entry(&b, 7, 4, "\144\144\1x", 4);
	assert_null(scan(&b, &n));
	assert_int_equal(n, 4);
}

static void
bombs(void **state)
{
	static const char big_delta[] = "\144\200\200\200\200\20x";
	struct {
		unsigned count, type;
		size_t says, n;
		const char *p;
	} packs[] = {
	    {1, 3, 1000001, 1000001, NULL}, /* larger than allowed, and it says so */
	    {1, 3, 10, 5000000, NULL},	    /* and it does not */
	    {1, 3, 200, 100, NULL},	    /* less than it says */
	    {1, 7, sizeof(big_delta) - 1, sizeof(big_delta) - 1,
		big_delta},	  /* a delta whose result is larger */
	    {1, 7, 1, 1, "\144"}, /* a delta without sizes */
	    {1, 5, 4, 4, NULL},
	    {1, 0, 4, 4, NULL},
	    {101, 3, 4, 4, NULL},
	    {2, 3, 4, 4, NULL},
	    {0, 3, 4, 4, NULL},
	};
	CLEAN_BUF struct buf sum = {0};
	uint32_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(packs) / sizeof(packs[0]); i++) {
		CLEAN_BUF struct buf b = {0};

		pack_head(&b, packs[i].count);
		pack_entry(&b, packs[i].type, packs[i].says, packs[i].p, packs[i].n);
		if (scan(&b, &n) == NULL)
			fail_msg("taken: pack %zu", i);
	}
	pack_head(&sum, 3);
	for (int i = 0; i < 3; i++)
		pack_entry(&sum, 3, 900000, NULL, 900000);
	assert_non_null(scan(&sum, &n));
}

static void
cut_packs(void **state)
{
	CLEAN_BUF struct buf b = {0};
	struct packscan_found found;
	uint32_t n;

	(void)state;
	pack_head(&b, 3);
	pack_entry(&b, 3, 100, NULL, 100);
	pack_entry(&b, 7, 4, "\144\144\1x", 4);
	pack_entry(&b, 6, 4, "\144\144\1x", 4);
	assert_null(scan(&b, &n));
	for (size_t len = 0; len < b.len; len++) {
		unsigned char *exact = malloc(len + 1);

		memcpy(exact, b.p, len);
		assert_non_null(packscan(exact, len, &limits, &found));
		free(exact);
	}
	/* any byte changed: an answer, in bounds */
	for (size_t i = 8; i < b.len; i++) {
		b.p[i] = (char)(b.p[i] ^ 0xff);
		(void)packscan((unsigned char *)b.p, b.len, &limits, &found);
		b.p[i] = (char)(b.p[i] ^ 0xff);
	}
}

static int
start(void **state)
{
	(void)state;
	return git_libgit2_init() < 0 ? -1 : 0;
}

static int
stop(void **state)
{
	(void)state;
	git_libgit2_shutdown();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(good_trees),
	    cmocka_unit_test(bad_trees),
	    cmocka_unit_test(cut_trees),
	    cmocka_unit_test(gitmodules),
	    cmocka_unit_test(commits),
	    cmocka_unit_test(good_pack),
	    cmocka_unit_test(bombs),
	    cmocka_unit_test(cut_packs),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
