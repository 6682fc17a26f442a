foreach(module err buf log clock ids files text repo_url child histogram)
	awo_unit_test(common_${module}_test SOURCES unit/common_${module}_test.c LIBS common)
endforeach()
awo_unit_test(common_sd_test SOURCES unit/common_sd_test.c LIBS common common_sd)
