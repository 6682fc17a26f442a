foreach(module args term table logline live values completion)
	awo_unit_test(awoctl_${module}_test SOURCES unit/awoctl_${module}_test.c LIBS awoctl_parts)
endforeach()
# these run the program itself, against a daemon that the test plays
awo_unit_test(awoctl_client_test SOURCES unit/awoctl_client_test.c LIBS awoctl_parts)
target_compile_definitions(awoctl_client_test PRIVATE AWOCTL="$<TARGET_FILE:awoctl>")
add_dependencies(awoctl_client_test awoctl)
