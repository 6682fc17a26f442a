# The engine without the server, whose ears the test plays.
set(engine_room ${CMAKE_SOURCE_DIR}/awod)
awo_unit_test(awod_engine_test
	SOURCES ${CMAKE_CURRENT_SOURCE_DIR}/unit/awod_engine_test.c ${engine_room}/engine.c ${engine_room}/change.c
		${engine_room}/journal.c ${engine_room}/link.c ${engine_room}/task.c ${engine_room}/fetch.c
		${engine_room}/jobspec.c ${engine_room}/gh_token.c ${engine_room}/suplink.c ${engine_room}/retention.c
	LIBS awod_state PkgConfig::EVENT_CORE)
