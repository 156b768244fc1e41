/* "rotables": the firmware's read-only library objects.
**
** Fact (core:lua/src/rotable2.c, read for its behaviour): a library global is
** a userdata whose metatable has __index, __len, __pairs, __name and a false
** __metatable; there is no __newindex, so assigning a field raises. Here the
** members live in a table kept as the userdata's user value, with the names in
** declaration order in its array part.
*/
#include "glue.h"

#include "lauxlib.h"

#define ROTABLE "lua32.rotable"

static int rotable_index(lua_State *L) {
  if (lua_type(L, 1) != LUA_TUSERDATA || lua_type(L, 2) != LUA_TSTRING) return 0;
  if (lua_getuservalue(L, 1) != LUA_TTABLE) return 0;
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  return 1;
}

static int rotable_len(lua_State *L) {
  lua_pushinteger(L, 0);
  return 1;
}

/* Iterates by position, not with lua_next: declaration order is the device's. */
static int rotable_next(lua_State *L) {
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(2)) + 1;
  lua_pushinteger(L, i);
  lua_replace(L, lua_upvalueindex(2));
  if (lua_rawgeti(L, lua_upvalueindex(1), i) != LUA_TSTRING) return 0;
  lua_pushvalue(L, -1);
  lua_rawget(L, lua_upvalueindex(1));
  return 2;
}

static int rotable_pairs(lua_State *L) {
  if (lua_type(L, 1) != LUA_TUSERDATA || lua_getuservalue(L, 1) != LUA_TTABLE) return 0;
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, rotable_next, 2);
  lua_pushvalue(L, 1);
  return 2;
}

/* The string metatable's __index: methods are looked up in the library. */
static int string_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  lua_pushvalue(L, 2);
  lua_rawget(L, lua_upvalueindex(1));
  return 1;
}

/* Turns the table on top into a rotable. The table must hold its names in
** order at 1..n and its members under the names. */
void lua32_rotable(lua_State *L) {
  lua_newuserdata(L, 0);
  lua_insert(L, -2);
  lua_setuservalue(L, -2);
  if (luaL_newmetatable(L, ROTABLE)) {
    lua_pushcfunction(L, rotable_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, rotable_len);
    lua_setfield(L, -2, "__len");
    lua_pushcfunction(L, rotable_pairs);
    lua_setfield(L, -2, "__pairs");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "rotable");
    lua_setfield(L, -2, "__name");
  }
  lua_setmetatable(L, -2);
}

/* Makes the rotable on top the source of string methods. */
void lua32_string_methods(lua_State *L) {
  lua_pushliteral(L, "");
  lua_createtable(L, 0, 1);
  lua_getuservalue(L, -3);
  lua_pushcclosure(L, string_index, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}
