# Namespaces, roots and processes: these run as root and, where the host lets them, as an ordinary user.
awo_unit_test(worker_sandbox_test SOURCES unit/worker_sandbox_test.c unit/sandbox_probe.c LIBS awo_worker_core)
