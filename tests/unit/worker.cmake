# The resident worker, module by module.
foreach(module lines job journal ports prompt_template answer adapters program loop control steps agent_version)
	awo_unit_test(worker_${module}_test SOURCES unit/worker_${module}_test.c LIBS awo_worker_core)
endforeach()
