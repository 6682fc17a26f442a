# awod_migrations: the migrations as an object library, for awod itself and for the tests of its state.
file(GLOB awod_migration_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/awod/migrations/*.sql)
set(awod_migrations_c ${CMAKE_BINARY_DIR}/awod/migrations.c)
add_custom_command(OUTPUT ${awod_migrations_c}
	COMMAND ${CMAKE_COMMAND} -DOUT=${awod_migrations_c} -DDIR=${CMAKE_SOURCE_DIR}/awod/migrations
		-P ${CMAKE_SOURCE_DIR}/awod/embed_migrations.cmake
	DEPENDS ${awod_migration_files} ${CMAKE_SOURCE_DIR}/awod/embed_migrations.cmake
	COMMENT "Embedding the migrations" VERBATIM)
add_library(awod_migrations STATIC ${awod_migrations_c})
target_link_libraries(awod_migrations PRIVATE awo_options)
