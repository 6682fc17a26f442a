awo_unit_test(git_phase_test SOURCES unit/git_phase_test.c LIBS awo_git_core)
