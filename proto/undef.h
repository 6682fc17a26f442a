/* Takes the row macros of types.def back, after each time that it was included. No include guard: it is meant to repeat. */
#undef ENUM_BEGIN
#undef ENUM_ROW
#undef ENUM_ALIAS
#undef ENUM_END
#undef TYPE_BEGIN
#undef F_STR
#undef F_INT
#undef F_BOOL
#undef F_DBL
#undef F_TIME
#undef F_ENUM
#undef F_STRV
#undef F_OBJ
#undef F_LIST
#undef F_ANY
#undef TYPE_END
