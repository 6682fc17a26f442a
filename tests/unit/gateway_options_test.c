/* Tests the command line of the gateway. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/cmocka_all.h"

#include "awo-gateway/options.h"

static int
parse(struct options *o, struct awo_err *err, int argc, const char *const *argv)
{
	char *copy[16];

	for (int i = 0; i < argc; i++)
		copy[i] = (char *)(uintptr_t)argv[i];
	copy[argc] = NULL;
	*err = (struct awo_err){0};
	return options_parse(o, argc, copy, err);
}

static void
paths_have_defaults(void **state)
{
	const char *const system[] = {"awo-gateway"}, *const user[] = {"awo-gateway", "--user"};
	struct awo_err err;
	struct options o;

	(void)state;
	unsetenv("AWO_CONFIG_DIR");
	unsetenv("ARCHON_CONFIG_DIR");
	setenv("XDG_CONFIG_HOME", "/x/config", 1);
	setenv("AWO_SOCKET", "/x/awod.sock", 1);
	assert_int_equal(parse(&o, &err, 1, system), 0);
	assert_string_equal(o.config_dir, "/etc/awo");
	assert_string_equal(o.socket_path, "/run/awo/awod.sock");
	assert_false(o.user_mode);
	options_free(&o);
	assert_int_equal(parse(&o, &err, 2, user), 0);
	assert_string_equal(o.config_dir, "/x/config/awo");
	assert_string_equal(o.socket_path, "/x/awod.sock");
	assert_true(o.user_mode);
	options_free(&o);
	setenv("AWO_CONFIG_DIR", "/y", 1);
	assert_int_equal(parse(&o, &err, 1, system), 0);
	assert_string_equal(o.config_dir, "/y");
	options_free(&o);
}

static void
options_are_taken(void **state)
{
	const char *const argv[] = {"awo-gateway", "--config", "c", "--config-dir", "d", "--socket",
	    "s", "--listen", "[::1]:0", "--ui-dir", "u", "--run-as", "nobody", "--check-config"};
	struct awo_err err;
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, &err, 14, argv), 0);
	assert_string_equal(o.config_file, "c");
	assert_string_equal(o.config_dir, "d");
	assert_string_equal(o.socket_path, "s");
	assert_string_equal(o.listen, "[::1]:0");
	assert_string_equal(o.ui_dir, "u");
	assert_string_equal(o.run_as, "nobody");
	assert_true(o.check_config);
	options_free(&o);
}

static void
what_is_unknown_is_refused(void **state)
{
	const char *const option[] = {"awo-gateway", "--nothing"}, *const word[] = {
								       "awo-gateway", "start"};
	struct awo_err err;
	struct options o;

	(void)state;
	assert_int_equal(parse(&o, &err, 2, option), -1);
	options_free(&o);
	assert_int_equal(parse(&o, &err, 2, word), -1);
	assert_non_null(strstr(err.msg, "start"));
	options_free(&o);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(paths_have_defaults),
	    cmocka_unit_test(options_are_taken),
	    cmocka_unit_test(what_is_unknown_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
