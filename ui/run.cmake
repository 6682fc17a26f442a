# Runs one of the package's scripts where the build has put it: lint, check or test.
if(NOT EXISTS ${WORK}/installed)
	message("LEFT OUT: the web UI was not built, because its packages could not be installed")
	return()
endif()
if(SCRIPT STREQUAL "lint")
	# the tests in the browser are held to the same rules
	file(REMOVE_RECURSE ${WORK}/tests)
	file(COPY ${CMAKE_CURRENT_LIST_DIR}/../tests/ui/ DESTINATION ${WORK}/tests)
endif()
execute_process(COMMAND ${NPM} run --silent ${SCRIPT} WORKING_DIRECTORY ${WORK} RESULT_VARIABLE failed)
if(failed)
	message(FATAL_ERROR "npm run ${SCRIPT} failed")
endif()
