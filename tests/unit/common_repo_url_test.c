/* Repository addresses: what is accepted and what it becomes, what is refused and with which words.
 */
#include "cmocka_all.h"

#include <stdio.h>
#include <string.h>

#include "common/repo_url.h"

static const struct {
	const char *in, *canonical, *owner, *name;
} good[] = {
    {"https://github.com/owner/repo", "https://github.com/owner/repo", "owner", "repo"},
    {"https://github.com/owner/repo.git", "https://github.com/owner/repo", "owner", "repo"},
    {"https://github.com/owner/repo/", "https://github.com/owner/repo", "owner", "repo"},
    {"https://github.com/owner/repo.git/", "https://github.com/owner/repo", "owner", "repo"},
    {"https://github.com/owner/repo///", "https://github.com/owner/repo", "owner", "repo"},
    {"https://github.com//owner//repo", "https://github.com/owner/repo", "owner", "repo"},
    {"HTTPS://GitHub.COM/Owner/Repo", "https://github.com/Owner/Repo", "Owner", "Repo"},
    {"https://github.com:443/owner/repo", "https://github.com/owner/repo", "owner", "repo"},
    {"https://github.com:8443/owner/repo", "https://github.com:8443/owner/repo", "owner", "repo"},
    {"https://github.com:00443/owner/repo", "https://github.com/owner/repo", "owner", "repo"},
    {"http://localhost:3000/o/r", "http://localhost:3000/o/r", "o", "r"},
    {"http://host:80/o/r", "http://host/o/r", "o", "r"},
    {"http://host:443/o/r", "http://host:443/o/r", "o", "r"},
    {"https://gitlab.com/group/sub/project.git", "https://gitlab.com/group/sub/project",
	"group/sub", "project"},
    {"https://git.example.org/repo", "https://git.example.org/repo", "", "repo"},
    {"https://github.com/vercel/next.js", "https://github.com/vercel/next.js", "vercel", "next.js"},
    {"https://github.com/vercel/next.js.git", "https://github.com/vercel/next.js", "vercel",
	"next.js"},
    {"https://github.com/o/r.git.git", "https://github.com/o/r.git", "o", "r.git"},
    {"https://github.com/o/.github", "https://github.com/o/.github", "o", ".github"},
    {"https://github.com/o/digit", "https://github.com/o/digit", "o", "digit"},
    {"https://h/a%20b/c", "https://h/a%20b/c", "a%20b", "c"},
    {"https://h/%61%2d%7e/c%c3%a9", "https://h/a-~/c%C3%A9", "a-~", "c%C3%A9"},
    {"https://h/o/caf\xc3\xa9", "https://h/o/caf%C3%A9", "o", "caf%C3%A9"},
    {"https://h/o/r%2egit", "https://h/o/r", "o", "r"},
    {"https://h/~user/r", "https://h/~user/r", "~user", "r"},
    {"https://h/o/a:b@c", "https://h/o/a:b@c", "o", "a:b@c"},
    {"https://under_score.example/o/r", "https://under_score.example/o/r", "o", "r"},
    {"https://127.0.0.1/o/r", "https://127.0.0.1/o/r", "o", "r"},
    {"https://[::1]/o/r", "https://[::1]/o/r", "o", "r"},
    {"https://[::1]:8443/o/r", "https://[::1]:8443/o/r", "o", "r"},
    {"https://[2001:DB8:0:0::1]/o/r", "https://[2001:db8::1]/o/r", "o", "r"},
    {"https://h/o/--r", "https://h/o/--r", "o", "--r"},
    {"ssh://git@github.com/owner/repo.git", "ssh://git@github.com/owner/repo", "owner", "repo"},
    {"ssh://github.com/owner/repo", "ssh://git@github.com/owner/repo", "owner", "repo"},
    {"ssh://git@github.com:22/owner/repo", "ssh://git@github.com/owner/repo", "owner", "repo"},
    {"ssh://me@host:2222/srv/git/repo.git", "ssh://me@host:2222/srv/git/repo", "srv/git", "repo"},
    {"ssh://git@[::1]:2222/o/r", "ssh://git@[::1]:2222/o/r", "o", "r"},
    {"ssh://h/~/r", "ssh://git@h/~/r", "~", "r"},
    {"git@github.com:owner/repo.git", "ssh://git@github.com/owner/repo", "owner", "repo"},
    {"git@GITHUB.com:owner/repo", "ssh://git@github.com/owner/repo", "owner", "repo"},
    {"deploy@host.example:/srv/r.git", "ssh://deploy@host.example/srv/r", "srv", "r"},
    {"git@host:repo", "ssh://git@host/repo", "", "repo"},
    {"git@[::1]:o/r", "ssh://git@[::1]/o/r", "o", "r"},
    {"git@host:a%20b/c", "ssh://git@host/a%2520b/c", "a%2520b", "c"},
    {"git@host:~me/r", "ssh://git@host/~me/r", "~me", "r"},
    {"owner/repo", "https://github.com/owner/repo", "owner", "repo"},
    {"owner/repo.git", "https://github.com/owner/repo", "owner", "repo"},
    {"vercel/next.js", "https://github.com/vercel/next.js", "vercel", "next.js"},
    {"my-org/my_repo-2", "https://github.com/my-org/my_repo-2", "my-org", "my_repo-2"},
    {"o/-r", "https://github.com/o/-r", "o", "-r"},
    {"/srv/git/repo", "file:///srv/git/repo", "srv/git", "repo"},
    {"/srv/git/repo.git", "file:///srv/git/repo.git", "srv/git", "repo.git"},
    {"/srv/git/repo/", "file:///srv/git/repo", "srv/git", "repo"},
    {"/srv/git/repo.git///", "file:///srv/git/repo.git", "srv/git", "repo.git"},
    {"/srv//git/repo", "file:///srv/git/repo", "srv/git", "repo"},
    {"/with space/my repo", "file:///with space/my repo", "with space", "my repo"},
    {"/odd/a?b#c%20d@e:f\\g", "file:///odd/a?b#c%20d@e:f\\g", "odd", "a?b#c%20d@e:f\\g"},
    {"/repo", "file:///repo", "", "repo"},
    {"/srv/..git/...", "file:///srv/..git/...", "srv/..git", "..."},
    {"/-srv/-r", "file:///-srv/-r", "-srv", "-r"},
    {"file:///srv/git/repo", "file:///srv/git/repo", "srv/git", "repo"},
    {"FILE:///srv/git/repo/", "file:///srv/git/repo", "srv/git", "repo"},
    {"file://localhost/srv/repo", "file:///srv/repo", "srv", "repo"},
    {"file:///with space/100%25", "file:///with space/100%25", "with space", "100%25"},
    {"/srv/caf\xc3\xa9", "file:///srv/caf\xc3\xa9", "srv", "caf\xc3\xa9"},
};

static void
accepts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct repo_url u;
		struct awo_err e = {0};

		if (repo_url_parse(good[i].in, &u, &e) < 0)
			fail_msg("%s: %s", good[i].in, e.msg);
		if (strcmp(u.canonical, good[i].canonical) != 0)
			fail_msg("%s became %s", good[i].in, u.canonical);
		assert_string_equal(u.owner, good[i].owner);
		assert_string_equal(u.name, good[i].name);
	}
}

/* The canonical form stands for itself, but for a name that ends in .git even then. */
static void
is_stable(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct repo_url u;

		if (strstr(good[i].in, ".git.git"))
			continue;
		assert_int_equal(repo_url_parse(good[i].canonical, &u, NULL), 0);
		assert_string_equal(u.canonical, good[i].canonical);
	}
}

static void
splits(void **state)
{
	struct repo_url u;

	(void)state;
	assert_int_equal(repo_url_parse("ssh://Me@Host.Example:2222/a/b/c.git", &u, NULL), 0);
	assert_int_equal(u.scheme, REPO_SSH);
	assert_string_equal(u.user, "Me");
	assert_string_equal(u.host, "host.example");
	assert_int_equal(u.port, 2222);
	assert_string_equal(u.host_port, "host.example:2222");
	assert_string_equal(u.path, "a/b/c");
	assert_int_equal(repo_url_parse("https://h/r", &u, NULL), 0);
	assert_int_equal(u.scheme, REPO_HTTPS);
	assert_string_equal(u.user, "");
	assert_int_equal(u.port, 0);
	assert_string_equal(u.host_port, "h");
	assert_int_equal(repo_url_parse("/a/b/", &u, NULL), 0);
	assert_int_equal(u.scheme, REPO_FILE);
	assert_string_equal(u.host, "");
	assert_string_equal(u.host_port, "");
	assert_string_equal(u.path, "/a/b");
}

static const struct {
	const char *in, *says;
} bad[] = {
    {"", "missing"},
    {"repo", "not an address"},
    {"a/b/c", "not an address"},
    {"github.com/owner/repo", "not an address"},
    {"github.com/repo", "https:// before"},
    {"/", "root"},
    {"//", "root"},
    {"./repo", "absolute path"},
    {"../repo", "absolute path"},
    {"~/repo", "letters, digits"},
    {"owner/", "not an address"},
    {"/srv/../etc", "'..'"},
    {"/srv/..", "'..'"},
    {"/srv/./x", "'..'"},
    {"file:///srv/../etc", "'..'"},
    {"https://h/o/../r", "'..'"},
    {"https://h/o/%2e%2E/r", "'..'"},
    {"https://h/o/..", "'..'"},
    {"https://h/o/...git", "'..'"},
    {"git@h:../r", "'..'"},
    {"o/..", "'..'"},
    {"https://user:secret@h/o/r", "credential"},
    {"https://token@h/o/r", "credential"},
    {"http://u@h/o/r", "credential"},
    {"https://@h/o/r", "credential"},
    {"ssh://git:secret@h/o/r", "credential"},
    {"ssh://@h/o/r", "user name"},
    {"ssh://-oProxyCommand=x@h/o/r", "user name"},
    {"ssh://a b@h/o/r", "spaces"},
    {"ssh://-oProxyCommand=x/o/r", "begin with '-'"},
    {"git@-oProxyCommand:o/r", "begin with '-'"},
    {"-oProxyCommand=x:o/r", "begin with '-'"},
    {"--upload-pack=x", "begin with '-'"},
    {"https://-h/o/r", "begin with '-'"},
    {"https://h/-o/r", "begin with '-'"},
    {"git@h:-r", "begin with '-'"},
    {"-o/r", "begin with '-'"},
    {"https://h-/o/r", "end in '-'"},
    {"https://a-.b/o/r", "malformed"},
    {"https://a..b/o/r", "malformed"},
    {"https://.a/o/r", "malformed"},
    {"https://a./o/r", "malformed"},
    {"https:///o/r", "host is missing"},
    {"https://", "host is missing"},
    {"https://h", "name is missing"},
    {"https://h/", "name is missing"},
    {"https://h/.git", "name is missing"},
    {"https://h/o/.git", "name is missing"},
    {"git@h:", "name is missing"},
    {"git@h/o/r", "comes ':'"},
    {"h:o/r", "git@host:path"},
    {"C:\\work\\repo", "git@host:path"},
    {"https://h:/o/r", "port"},
    {"https://h:0/o/r", "port"},
    {"https://h:65536/o/r", "port"},
    {"https://h:99999999999999999999/o/r", "port"},
    {"https://h:8x/o/r", "port"},
    {"https://h:-1/o/r", "port"},
    {"https://[::1/o/r", "version 6"},
    {"https://[::g]/o/r", "version 6"},
    {"https://[fe80::1%25eth0]/o/r", "version 6"},
    {"https://[]/o/r", "version 6"},
    {"https://a b/o/r", "spaces"},
    {"https://h/o/my repo", "spaces"},
    {" https://h/o/r", "spaces"},
    {"https://h/o/r\n", "control"},
    {"https://h/o/r\x7f", "control"},
    {"/srv/a\tb", "control"},
    {"https://h/o/r?x=1", "'?'"},
    {"https://h/o/r#main", "'#'"},
    {"https://h?/o/r", "'?'"},
    {"https://h/o\\r", "'\\'"},
    {"https://h/o/<r>", "'<'"},
    {"https://h/o/%zz", "hexadecimal"},
    {"https://h/o/%4", "hexadecimal"},
    {"https://h/o/%", "hexadecimal"},
    {"https://h/o/%00", "not accepted"},
    {"https://h/o%2fr", "not accepted"},
    {"https://h/o%5Cr", "not accepted"},
    {"https://h/o/%0a", "not accepted"},
    {"https://caf\xc3\xa9.example/o/r", "xn--"},
    {"https://h/o/\xff", "UTF-8"},
    {"/srv/\xc0\xae", "UTF-8"},
    {"git://h/o/r", "not supported"},
    {"ftp://h/o/r", "not supported"},
    {"ext::sh -c id", "spaces"},
    {"ext::x", "git@host:path"},
    {"javascript:alert(1)", "git@host:path"},
    {"file://host/srv/r", "no other host"},
    {"file://srv", "no other host"},
    {"file://", "no other host"},
    {"owner/re po", "spaces"},
    {"owner/re$po", "letters, digits"},
};

static void
refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct awo_err e = {0};
		struct repo_url u;

		if (repo_url_parse(bad[i].in, &u, &e) == 0)
			fail_msg("%s became %s", bad[i].in, u.canonical);
		if (!strstr(e.msg, bad[i].says))
			fail_msg("%s: \"%s\" does not say %s", bad[i].in, e.msg, bad[i].says);
		assert_int_equal(e.code, AWO_INVALID_ARGUMENT);
		assert_string_equal(e.field, "repository_url");
		assert_null(strstr(e.msg, "secret"));
	}
}

static void
bounds_lengths(void **state)
{
	char text[3000];
	struct repo_url u;

	(void)state;
	for (size_t len = 1; len < sizeof text; len++) {
		/* each of these once at every length: none may write beyond its member, and none
		 * may be cut */
		static const char *const heads[] = {"https://h/", "https://h/o/", "ssh://h/", "/",
		    "/a/", "o/", "https://", "ssh://"};

		for (size_t h = 0; h < sizeof heads / sizeof heads[0]; h++) {
			size_t n = strlen(heads[h]);

			if (n >= len)
				continue;
			memset(text, 'x', len);
			memcpy(text, heads[h], n);
			text[len] = '\0';
			if (repo_url_parse(text, &u, NULL) == 0)
				assert_true(
				    strlen(u.canonical) <= 2048 && strlen(u.canonical) + 1 >= len);
		}
		if (len > 600 && len < 2000)
			len += 50;
	}
	memset(text, '\xc3', sizeof text);
	for (size_t i = 1; i < sizeof text; i += 2)
		text[i] = '\xa9';
	memcpy(text, "https://h/", 10);
	text[1000] = '\0';
	assert_int_equal(repo_url_parse(text, &u, NULL), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(accepts),
	    cmocka_unit_test(is_stable),
	    cmocka_unit_test(splits),
	    cmocka_unit_test(refuses),
	    cmocka_unit_test(bounds_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
