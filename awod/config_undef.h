/* Takes the row macros of config.def back. No include guard: it is meant to repeat. */
#undef CONF_INT
#undef CONF_DURATION
#undef CONF_BOOL
#undef CONF_STR
#undef CONF_CHOICE
#undef CONF_LIST
#undef AGENT_KEY
