/* The command line of awod: directories from options, environment and defaults, and who may run which mode. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "awod/options.h"
#include "common/buf.h"
#include "tests/unit/cmocka_all.h"

static int
parse(struct options *o, struct awo_err *err, const char *const *args)
{
	char *argv[32] = {NULL};
	int argc = 0, rc;

	argv[argc++] = xstrdup("awod");
	for (; args[argc - 1]; argc++)
		argv[argc] = xstrdup(args[argc - 1]);
	rc = options_parse(o, argc, argv, err);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return rc;
}

#define PARSE(...) parse(&o, &err, (const char *const[]){__VA_ARGS__, NULL})

static void
clear_environment(void)
{
	static const char *const names[] = {"AWO_CONFIG_DIR", "ARCHON_CONFIG_DIR", "AWO_WORK_ORDER_DIR",
	    "AGENT_WORK_ORDER_TEMP_DIR", "AWO_REPOSITORY_DIR",
		"XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	setenv("HOME", "/home/somebody", 1);
}

/* As the broker: no check of who we are, so that both modes can be looked at by whoever runs the tests. */
static void
test_directories(void **state)
{
	struct options o;
	struct awo_err err = {0};

	(void)state;
	clear_environment();
	assert_int_equal(PARSE("--broker-fd", "7"), 0);
	assert_int_equal(o.broker_fd, 7);
	assert_string_equal(o.config_dir, "/etc/awo");
	assert_string_equal(o.state_dir, "/var/lib/awo");
	assert_string_equal(o.run_dir, "/run/awo");
	assert_string_equal(o.log_dir, "/var/log/awo");
	assert_string_equal(o.socket_path, "/run/awo/awod.sock");
	assert_string_equal(o.work_order_dir, "/var/lib/awo/work-orders");
	assert_int_equal(o.uid_base, OPT_UID_BASE);
	options_free(&o);

	assert_int_equal(PARSE("--user", "--broker-fd", "7"), 0);
	assert_string_equal(o.config_dir, "/home/somebody/.config/awo");
	assert_string_equal(o.state_dir, "/home/somebody/.local/state/awo");
	assert_string_equal(o.run_dir, "/home/somebody/.local/state/awo/run");
	assert_string_equal(o.log_dir, "/home/somebody/.local/state/awo/log");
	options_free(&o);

	setenv("XDG_STATE_HOME", "/x/state", 1);
	setenv("XDG_RUNTIME_DIR", "/x/run", 1);
	setenv("XDG_CONFIG_HOME", "relative/is/ignored", 1);
	setenv("AWO_REPOSITORY_DIR", "/big/repositories", 1);
	setenv("AWO_WORK_ORDER_DIR", "/big//./orders/", 1);
	setenv("AGENT_WORK_ORDER_TEMP_DIR", "/older/name", 1);
	assert_int_equal(PARSE("--user", "--broker-fd", "7"), 0);
	assert_string_equal(o.config_dir, "/home/somebody/.config/awo");
	assert_string_equal(o.state_dir, "/x/state/awo");
	assert_string_equal(o.run_dir, "/x/run/awo");
	assert_string_equal(o.repository_dir, "/big/repositories");
	assert_string_equal(o.work_order_dir, "/big/orders");
	options_free(&o);

	setenv("AWO_CONFIG_DIR", "/env/config", 1);
	assert_int_equal(PARSE("--user", "--broker-fd", "7", "--state-dir", "/o/state", "--run-dir", "relative", "--config",
			     "/f.yaml", "--uid-base", "70000"),
	    0);
	assert_string_equal(o.config_dir, "/env/config");
	assert_string_equal(o.config_file, "/f.yaml");
	assert_string_equal(o.state_dir, "/o/state");
	assert_true(o.run_dir[0] == '/' && o.run_dir[1] != '/');
	assert_string_equal(strrchr(o.run_dir, '/'), "/relative");
	assert_int_equal(o.uid_base, 70000);
	options_free(&o);
	clear_environment();
}

/* What the supervisor hands over gives the broker exactly the same values, whatever its environment. */
static void
test_handed_over(void **state)
{
	struct options o, b;
	struct awo_err err = {0};
	char **argv;
	int argc = 0;

	(void)state;
	clear_environment();
	assert_int_equal(PARSE("--user", "--broker-fd", "3", "--state-dir", "/s t", "--config", "/c.yaml", "--uid-base", "80000"), 0);
	argv = options_broker_argv(&o, 9);
	while (argv[argc])
		argc++;
	setenv("AWO_WORK_ORDER_DIR", "/elsewhere", 1);
	setenv("HOME", "/elsewhere", 1);
	assert_int_equal(options_parse(&b, argc, argv, &err), 0);
	assert_int_equal(b.broker_fd, 9);
	assert_true(b.user_mode);
	assert_int_equal(b.uid_base, 80000);
	assert_string_equal(b.config_file, o.config_file);
	assert_string_equal(b.config_dir, o.config_dir);
	assert_string_equal(b.state_dir, "/s t");
	assert_string_equal(b.run_dir, o.run_dir);
	assert_string_equal(b.log_dir, o.log_dir);
	assert_string_equal(b.work_order_dir, o.work_order_dir);
	assert_string_equal(b.repository_dir, o.repository_dir);
	assert_string_equal(b.socket_path, o.socket_path);
	assert_string_equal(b.libexec_dir, o.libexec_dir);
	assert_string_equal(b.commands_dir, o.commands_dir);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	free(argv);
	options_free(&o);
	options_free(&b);
	clear_environment();
}

static void
test_refused(void **state)
{
	static const char *const bad[][4] = {
		{"--uid-base", "12", "65536", NULL},
		{"--uid-base", "-5", "--uid-base", NULL},
		{"--uid-base", "99999999999", "--uid-base", NULL},
		{"--uid-base", "4294967290", "--uid-base", NULL},
		{"--broker-fd", "x", "--broker-fd", NULL},
		{"--state-dir", "", "empty", NULL},
		{"--state-dir", "/a/../b", "..", NULL},
	};
	struct options o;
	struct awo_err err = {0};

	(void)state;
	clear_environment();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = (struct awo_err){0};
		assert_int_equal(PARSE("--broker-fd", "3", bad[i][0], bad[i][1]), -1);
		assert_int_equal(err.code, AWO_INVALID_ARGUMENT);
		if (!strstr(err.msg, bad[i][2]))
			fail_msg("'%s' does not say '%s'", err.msg, bad[i][2]);
		options_free(&o);
	}
	assert_int_equal(PARSE("--broker-fd", "3", "argument"), -1);
	assert_non_null(strstr(err.msg, "argument"));
	options_free(&o);
}

static void
test_modes(void **state)
{
	struct options o;
	struct awo_err err = {0};

	(void)state;
	clear_environment();
	if (geteuid() != 0) {
		assert_int_equal(PARSE("--state-dir", "/s"), -1);
		assert_int_equal(err.code, AWO_PERMISSION_DENIED);
		assert_non_null(strstr(err.msg, "awod --user"));
		options_free(&o);
		assert_int_equal(PARSE("--user"), 0);
		assert_int_equal(o.broker_uid, geteuid());
		options_free(&o);
		return;
	}
	assert_int_equal(PARSE("--user"), -1);
	assert_int_equal(err.code, AWO_PERMISSION_DENIED);
	assert_non_null(strstr(err.msg, "user mode is for ordinary users"));
	options_free(&o);
	assert_int_equal(PARSE("--broker-user", "65501"), 0);
	assert_int_equal(o.broker_uid, 65501);
	assert_int_equal(o.broker_gid, 65501);
	options_free(&o);
	assert_int_equal(PARSE("--broker-user", "0"), -1);
	assert_non_null(strstr(err.msg, "must not be root"));
	options_free(&o);
	assert_int_equal(PARSE("--broker-user", "root"), -1);
	options_free(&o);
	assert_int_equal(PARSE("--broker-user", "no-such-user-here"), -1);
	assert_non_null(strstr(err.msg, "no-such-user-here"));
	options_free(&o);
	assert_int_equal(PARSE("--uid-base", "70000", "--broker-user", "70001"), -1);
	assert_non_null(strstr(err.msg, "one of the orders' uids"));
	options_free(&o);
	/* to look at the configuration nobody needs to be anybody */
	assert_int_equal(PARSE("--user", "--check-config"), 0);
	assert_true(o.check_config);
	options_free(&o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directories),
		cmocka_unit_test(test_handed_over),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_modes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
