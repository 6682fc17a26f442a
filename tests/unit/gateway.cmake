foreach(module target head routes args shapes encode sse openapi options origin limit)
	awo_unit_test(gateway_${module}_test SOURCES unit/gateway_${module}_test.c LIBS awo_gateway_parts)
endforeach()
