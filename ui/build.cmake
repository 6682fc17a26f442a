# Builds the web UI in WORK from a copy of SOURCE, into OUT; packages are fetched anew only when the lock file changed.
# REQUIRED=AUTO: without packages it says so and lets the rest of the build go on; the next build tries again.
function(copy)
	foreach(name ${ARGN})
		file(COPY ${SOURCE}/${name} DESTINATION ${WORK})
	endforeach()
endfunction()

file(SHA256 ${SOURCE}/package-lock.json wanted)
set(have "")
if(EXISTS ${WORK}/installed)
	file(READ ${WORK}/installed have)
endif()
if(NOT have STREQUAL wanted)
	file(MAKE_DIRECTORY ${WORK})
	copy(package.json package-lock.json .npmrc)
	execute_process(COMMAND ${NPM} ci --no-audit --no-fund --prefer-offline --ignore-scripts --loglevel=error
		WORKING_DIRECTORY ${WORK} RESULT_VARIABLE failed OUTPUT_QUIET ERROR_VARIABLE said)
	if(failed AND REQUIRED STREQUAL "AUTO")
		message("The web UI is NOT built: npm ci failed. The gateway serves a page that says so. npm said:\n${said}")
		return()
	elseif(failed)
		message(FATAL_ERROR "The web UI's packages cannot be installed (npm ci):\n${said}")
	endif()
	file(WRITE ${WORK}/installed ${wanted})
endif()

file(REMOVE_RECURSE ${WORK}/src ${WORK}/public ${WORK}/tools)
copy(package.json package-lock.json src public tools index.html vite.config.ts tsconfig.json eslint.config.js
	.prettierrc.json .prettierignore .gitignore)
execute_process(COMMAND ${CMAKE_COMMAND} -E env AWO_UI_OUT=${OUT} ${NPM} run --silent build
	WORKING_DIRECTORY ${WORK} RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(failed)
	message(FATAL_ERROR "The web UI does not build:\n${said}")
endif()
file(TOUCH ${STAMP})
