foreach(module schema json msgpack scan)
	awo_unit_test(proto_${module}_test SOURCES unit/proto_${module}_test.c unit/proto_fill.c
		LIBS proto_msgpack awo_msgpack)
endforeach()
awo_unit_test(proto_client_test SOURCES unit/proto_client_test.c unit/proto_fill.c
	LIBS proto_client awo_msgpack Threads::Threads)
awo_unit_test(proto_yaml_test SOURCES unit/proto_yaml_test.c LIBS proto_yaml)
# the committed page is what the tables say now
add_test(NAME proto_reference COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:awo-reference>
	-DPAGE=${CMAKE_SOURCE_DIR}/docs/rpc.md -P ${CMAKE_CURRENT_SOURCE_DIR}/helpers/same_output.cmake)
set_tests_properties(proto_reference PROPERTIES TIMEOUT 30 LABELS unit)
