/* Finding agents' programs: links, node packages, scripts and what they need. */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "awo-worker/program.h"
#include "common/files.h"

static char top[PATH_MAX];
static const struct p_strv none;

static void
put(const char *path, const char *text, mode_t mode)
{
	char full[PATH_MAX + 300], *slash;
	int fd;

	snprintf(full, sizeof(full), "%s", path);
	slash = strrchr(full, '/');
	*slash = '\0';
	fd = open(top, O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(files_mkdirs(fd, full, 0755), 0);
	close(fd);
	snprintf(full, sizeof(full), "%s/%s", top, path);
	fd = open(full, O_CREAT | O_WRONLY | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(files_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

static void
put_link(const char *path, const char *to)
{
	char full[PATH_MAX + 300];

	snprintf(full, sizeof(full), "%s/%s", top, path);
	assert_int_equal(symlink(to, full), 0);
}

static int
set_up(void **state)
{
	char template[] = "/tmp/awo-program-XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(template));
	assert_non_null(realpath(template, top));
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	return files_remove_tree(AT_FDCWD, top, NULL);
}

static int
find(const char *path, struct program *p, struct failure *f)
{
	char full[PATH_MAX + 300];

	snprintf(full, sizeof(full), "%s/%s", top, path);
	return program_find(full, &none, "/nonexistent", "claude",
	    "npm install -g @anthropic-ai/claude-code", p, f);
}

static bool
mounts(const struct program *p, const char *path)
{
	char full[PATH_MAX + 300];

	snprintf(full, sizeof(full), "%s/%s", top, path);
	return p_strv_has(&p->mounts, full);
}

static void
a_native_program(void **state)
{
	struct program p;
	struct failure f;

	(void)state;
	put("native/bin/agent",
	    "\x7f"
	    "ELF",
	    0755);
	assert_int_equal(find("native/bin/agent", &p, &f), 0);
	assert_int_equal(p.mounts.n, 1);
	assert_true(mounts(&p, "native/bin"));
	program_free(&p);
}

static void
a_node_package(void **state)
{
	struct program p;
	struct failure f;
	char full[PATH_MAX + 300];

	(void)state;
	put("npm/lib/node_modules/@scope/agent/cli.js", "#!/usr/bin/env sh\n", 0755);
	put("npm/bin/other", "x", 0755);
	put_link("npm/bin/agent", "../lib/node_modules/@scope/agent/cli.js");
	assert_int_equal(find("npm/bin/agent", &p, &f), 0);
	snprintf(full, sizeof(full), "%s/npm/lib/node_modules/@scope/agent/cli.js", top);
	assert_string_equal(p.path, full);
	/* up to and including the outermost node_modules, and nothing above it */
	assert_int_equal(p.mounts.n, 1);
	assert_true(mounts(&p, "npm/lib/node_modules"));
	program_free(&p);
}

static void
node_beside_the_program(void **state)
{
	struct program p;
	struct failure f;
	char full[PATH_MAX + 300];

	(void)state;
	put("nvm/bin/awotestnode",
	    "\x7f"
	    "ELF",
	    0755);
	put("nvm/lib/node_modules/agent/cli.js", "#!/usr/bin/env -S awotestnode --flag\n", 0755);
	put_link("nvm/bin/agent", "../lib/node_modules/agent/cli.js");
	assert_int_equal(find("nvm/bin/agent", &p, &f), 0);
	assert_true(mounts(&p, "nvm/lib/node_modules"));
	assert_true(mounts(&p, "nvm/bin"));
	snprintf(full, sizeof(full), "%s/nvm/bin", top);
	assert_true(p_strv_has(&p.dirs, full));
	program_free(&p);
}

static void
an_interpreter_that_is_missing(void **state)
{
	struct program p;
	struct failure f;

	(void)state;
	put("gone/agent", "#!/usr/bin/env awo-no-such-interpreter\n", 0755);
	assert_int_equal(find("gone/agent", &p, &f), -1);
	assert_int_equal(f.category, error_category_agent);
	assert_non_null(strstr(f.msg, "awo-no-such-interpreter"));
	program_free(&p);
}

static void
a_virtual_environment(void **state)
{
	struct program p;
	struct failure f;
	char text[PATH_MAX + 300];

	(void)state;
	put("venv/bin/python",
	    "\x7f"
	    "ELF",
	    0755);
	snprintf(text, sizeof(text), "#!%s/venv/bin/python -E\n", top);
	put("tools/agent", text, 0755);
	assert_int_equal(find("tools/agent", &p, &f), 0);
	assert_true(mounts(&p, "venv"));
	assert_true(mounts(&p, "tools"));
	program_free(&p);
}

static void
what_is_not_there(void **state)
{
	struct program p;
	struct failure f;

	(void)state;
	put("plain/file", "no program", 0644);
	assert_int_equal(find("nothing/here", &p, &f), -1);
	assert_int_equal(f.category, error_category_agent);
	assert_non_null(strstr(f.msg, "npm install -g @anthropic-ai/claude-code"));
	assert_non_null(strstr(f.msg, "agents.claude.program"));
	program_free(&p);
	assert_int_equal(find("plain/file", &p, &f), -1);
	program_free(&p);
	assert_int_equal(find("plain", &p, &f), -1);
	program_free(&p);
	assert_int_equal(
	    program_find("awo-no-such-agent", &none, "/nonexistent", "x", NULL, &p, &f), -1);
	assert_string_equal(f.msg,
	    "agent program 'awo-no-such-agent' not found: install it or set agents.x.program");
	program_free(&p);
	assert_int_equal(program_find("bin/agent", &none, "/nonexistent", "x", NULL, &p, &f), -1);
	assert_non_null(strstr(f.msg, "relative"));
	program_free(&p);
}

static void
what_the_base_has_needs_nothing(void **state)
{
	struct program p;
	struct failure f;

	(void)state;
	assert_int_equal(program_find("sh", &none, "/nonexistent", "x", NULL, &p, &f), 0);
	assert_int_equal(p.mounts.n, 0);
	assert_int_equal(p.dirs.n, 0);
	assert_memory_equal(p.path, "/usr/", 5);
	program_free(&p);
}

static void
given_paths_win(void **state)
{
	static const char *const bad[] = {"/", "relative", "/nonexistent/awo"};
	struct p_strv paths = {0};
	struct program p;
	struct failure f;
	char full[PATH_MAX + 300];

	(void)state;
	put("given/bin/agent", "x", 0755);
	put("other/file", "x", 0644);
	snprintf(full, sizeof(full), "%s/other", top);
	p_strv_add(&paths, full);
	p_strv_add(&paths, "/usr/lib");
	snprintf(full, sizeof(full), "%s/given/bin/agent", top);
	assert_int_equal(program_find(full, &paths, "/nonexistent", "x", NULL, &p, &f), 0);
	assert_int_equal(p.mounts.n, 1);
	assert_true(mounts(&p, "other"));
	program_free(&p);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		p_strv_free(&paths);
		p_strv_add(&paths, bad[i]);
		assert_int_equal(program_find(full, &paths, "/nonexistent", "x", NULL, &p, &f), -1);
		assert_int_equal(f.category, error_category_permanent);
		assert_non_null(strstr(f.msg, "agents.x.paths"));
		program_free(&p);
	}
	p_strv_free(&paths);
}

static void
the_demonstration_agent_is_in_libexec(void **state)
{
	struct program p;
	struct failure f;
	char dir[PATH_MAX + 300];

	(void)state;
	put("libexec/awo-demo-agent", "x", 0755);
	put("libexec/awo-git", "x", 0755);
	snprintf(dir, sizeof(dir), "%s/libexec", top);
	assert_int_equal(program_find("awo-demo-agent", &none, dir, "demo", NULL, &p, &f), 0);
	/* it alone, not what stands beside it */
	assert_int_equal(p.mounts.n, 1);
	assert_true(mounts(&p, "libexec/awo-demo-agent"));
	program_free(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_native_program),
	    cmocka_unit_test(a_node_package),
	    cmocka_unit_test(node_beside_the_program),
	    cmocka_unit_test(an_interpreter_that_is_missing),
	    cmocka_unit_test(a_virtual_environment),
	    cmocka_unit_test(what_is_not_there),
	    cmocka_unit_test(what_the_base_has_needs_nothing),
	    cmocka_unit_test(given_paths_win),
	    cmocka_unit_test(the_demonstration_agent_is_in_libexec),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
