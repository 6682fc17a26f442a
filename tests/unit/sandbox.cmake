# Namespaces, roots and processes: these run as root and, where the host lets them, as an ordinary user.
awo_unit_test(worker_sandbox_test SOURCES unit/worker_sandbox_test.c unit/sandbox_probe.c LIBS awo_worker_core)
awo_unit_test(awod_supervisor_test SOURCES unit/awod_supervisor_test.c LIBS awod_core)
awo_unit_test(awod_options_test SOURCES unit/awod_options_test.c LIBS awod_core)
