# What awod knows and decides, without the processes around it.
set(state_room ${CMAKE_SOURCE_DIR}/awod)
file(GLOB state_store CONFIGURE_DEPENDS ${state_room}/store_*.c)
add_library(awod_state STATIC ${state_room}/order.c ${state_room}/scheduler.c ${state_store} ${state_room}/sqlite_log.c
	${state_room}/config.c ${state_room}/credentials.c)
target_link_libraries(awod_state PRIVATE awod_migrations PUBLIC common proto proto_yaml PkgConfig::EVENT_CORE
	PkgConfig::SQLITE PkgConfig::SODIUM PkgConfig::JANSSON Threads::Threads)
foreach(module order scheduler config credentials migrate sqlite_log)
	awo_unit_test(awod_${module}_test SOURCES unit/awod_${module}_test.c LIBS awod_state)
endforeach()
awo_unit_test(awod_store_test SOURCES unit/awod_store_test.c unit/proto_fill.c LIBS awod_state proto_msgpack awo_msgpack)
