foreach(module target head routes args shapes encode feed openapi options origin limit)
	awo_unit_test(gateway_${module}_test SOURCES unit/gateway_${module}_test.c LIBS awo_gateway_parts)
endforeach()
# the test plays awod
target_link_options(gateway_feed_test PRIVATE -Wl,--wrap=source_new,--wrap=source_start,--wrap=source_free)
awo_unit_test(gateway_connections_test SOURCES unit/gateway_connections_test.c LIBS awo_gateway_parts)
# the test turns the clock
target_link_options(gateway_connections_test PRIVATE -Wl,--wrap=clock_mono_us)
