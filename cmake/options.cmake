# Compiler warnings, hardening and the build kinds that the presets choose.
option(AWO_WERROR "Treat warnings as errors" OFF)
option(AWO_SANITIZE "Build with AddressSanitizer and UndefinedBehaviorSanitizer" OFF)
option(AWO_COVERAGE "Build for line coverage" OFF)
option(AWO_FUZZ "Build the libFuzzer programs of tests/fuzz, with sanitizers (clang only)" OFF)

add_library(awo_options INTERFACE)
target_compile_definitions(awo_options INTERFACE _GNU_SOURCE AWO_VERSION="${PROJECT_VERSION}"
	$<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
target_include_directories(awo_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
target_compile_options(awo_options INTERFACE
	-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings
	-Wpointer-arith -Wundef -Wvla -Wformat=2 -Wcast-qual -Wimplicit-fallthrough
	-Wno-gnu-statement-expression -Wno-gnu-zero-variadic-macro-arguments
	-fstack-protector-strong -ftrivial-auto-var-init=zero -fno-omit-frame-pointer -fno-strict-aliasing)
if(NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
	# clang 14 wants this word before it lets a Debian 12 build use the option
	target_compile_options(awo_options INTERFACE
		-enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang)
endif()
target_link_options(awo_options INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,--as-needed)
if(NOT AWO_SANITIZE)
	target_link_options(awo_options INTERFACE $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>)
endif()
if(AWO_WERROR)
	target_compile_options(awo_options INTERFACE -Werror)
endif()
if(AWO_SANITIZE)
	target_compile_options(awo_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=undefined)
	target_link_options(awo_options INTERFACE -fsanitize=address,undefined)
endif()
if(AWO_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
		message(FATAL_ERROR "AWO_FUZZ needs clang: configure with CC=clang, or use scripts/fuzz")
	endif()
	target_compile_options(awo_options INTERFACE
		-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
	target_link_options(awo_options INTERFACE -fsanitize=address,undefined)
endif()
if(AWO_COVERAGE)
	if(NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
		message(FATAL_ERROR "AWO_COVERAGE needs gcc: configure with CC=gcc, or use scripts/coverage")
	endif()
	# counters that outlive any end of a process, and that sandboxes reach: see the file
	set(executable $<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>)
	target_sources(awo_options INTERFACE $<${executable}:${CMAKE_SOURCE_DIR}/tests/helpers/coverage.c>)
	target_compile_definitions(awo_options INTERFACE
		$<${executable}:AWO_COVERAGE_DIR="${CMAKE_BINARY_DIR}/counters">
		$<${executable}:AWO_COVERAGE_PROGRAM="$<TARGET_PROPERTY:NAME>">)
	target_compile_options(awo_options INTERFACE --coverage -fdata-sections)
	target_link_options(awo_options INTERFACE --coverage
		$<${executable}:LINKER:--wrap=main,--wrap=__gcov_init,--wrap=root_enter>
		$<${executable}:LINKER:-T,${CMAKE_SOURCE_DIR}/tests/helpers/coverage.ld>)
endif()
