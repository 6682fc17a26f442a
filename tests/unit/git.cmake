# pure modules
foreach(module phase fsck sshkey)
	awo_unit_test(git_${module}_test SOURCES unit/git_${module}_test.c LIBS awo_git_core)
endforeach()
# the program, beside git itself
foreach(module fetch progress import push tree)
	awo_unit_test(git_${module}_test SOURCES unit/git_${module}_test.c unit/git_run.c LIBS common)
	target_compile_definitions(git_${module}_test PRIVATE AWO_GIT_PROGRAM="$<TARGET_FILE:awo-git>"
		AWO_GIT_LOCAL_PROGRAM="$<TARGET_FILE:awo-git-local>")
	add_dependencies(git_${module}_test awo-git)
	set_tests_properties(git_${module}_test PROPERTIES SKIP_RETURN_CODE 77)
endforeach()
awo_unit_test(forge_github_test SOURCES unit/forge_github_test.c LIBS common)
target_compile_definitions(forge_github_test PRIVATE AWO_FORGE_PROGRAM="$<TARGET_FILE:awo-forge>")
add_dependencies(forge_github_test awo-forge)
