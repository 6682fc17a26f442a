# The server and its methods on a real store, with an engine that the test plays.
set(server_room ${CMAKE_SOURCE_DIR}/awod)
set(server_sources)
foreach(module server listen conn dispatch stream log_lines caller audit rpc_order rpc_git rpc_logs rpc_artifact
		rpc_repository rpc_settings rpc_credential rpc_session rpc_webhook webhook access rpc_system agent_version)
	list(APPEND server_sources ${server_room}/${module}.c)
endforeach()
add_library(awod_server_test_room STATIC ${server_sources})
target_link_libraries(awod_server_test_room PUBLIC awod_state common_sd proto_msgpack PkgConfig::EVENT_CORE)
awo_unit_test(awod_webhook_test SOURCES unit/awod_webhook_test.c LIBS awod_server_test_room)
awo_unit_test(awod_log_lines_test SOURCES unit/awod_log_lines_test.c LIBS awod_server_test_room)
foreach(test server rpc)
	awo_unit_test(awod_${test}_test SOURCES unit/awod_${test}_test.c unit/awod_server_rig.c LIBS awod_server_test_room)
endforeach()
