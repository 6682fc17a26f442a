# Runs PROGRAM and fails unless it prints exactly what stands in the file PAGE.
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE printed RESULT_VARIABLE result)
if(NOT result EQUAL 0)
	message(FATAL_ERROR "${PROGRAM} failed: ${result}")
endif()
file(READ ${PAGE} committed)
if(NOT printed STREQUAL committed)
	message(FATAL_ERROR "${PAGE} is not what the tables say now: run ${PROGRAM} > ${PAGE}")
endif()
