/* "rotables": the firmware's read-only library objects.
**
** Fact (core:lua/src/rotable2.c, read for its behaviour): a library global is
** a userdata whose metatable has __index, __len, __pairs, __name and a false
** __metatable; there is no __newindex, so assigning a field raises. Its members
** lie in ROM and take no heap.
**
** Here the members are described by Rust (ctl->find, ctl->at) and become Lua
** values when a script first touches them; the userdata's user value is a table
** that keeps those, so that a function fetched twice is the same value.
*/
#include "glue.h"

#include "lauxlib.h"

#define ROTABLE "lua32.rotable"

/* What the userdata holds. Only C makes userdata, so `mark` cannot be forged. */
typedef struct rotable {
  const char *mark;
  const void *members;
} rotable;

static const char mark[] = ROTABLE;

static const void *members_of(lua_State *L, int at) {
  return ((const rotable *)lua_touserdata(L, at))->members;
}

static void push_member(lua_State *L, const lua32_member *m) {
  switch (m->kind) {
    case LUA32_MEMBER_FUNCTION: lua32_push_function(L, m->func); break;
    case LUA32_MEMBER_NAMED:
      lua_pushlstring(L, m->text, m->text_len);
      lua32_push_function_with(L, m->func);
      break;
    case LUA32_MEMBER_INTEGER: lua_pushinteger(L, m->integer); break;
    case LUA32_MEMBER_NUMBER: lua_pushnumber(L, m->number); break;
    case LUA32_MEMBER_NULL: lua_pushlightuserdata(L, NULL); break;
    default: lua_pushnil(L); break;
  }
}

/* Pushes the member of the rotable at `at` whose name is at `name`. */
static void push_found(lua_State *L, int at, int name) {
  lua32_member member;
  size_t len;
  const char *text;
  lua_getuservalue(L, at);
  lua_pushvalue(L, name);
  if (lua_rawget(L, -2) != LUA_TNIL) return;
  text = lua_tolstring(L, name, &len);
  if (!lua32_control(L)->find(members_of(L, at), text, len, &member)) return;
  lua_pop(L, 1);
  push_member(L, &member);
  lua_pushvalue(L, name);
  lua_pushvalue(L, -2);
  lua_rawset(L, -4);
}

static int is_rotable(lua_State *L, int at) {
  return lua_type(L, at) == LUA_TUSERDATA && lua_rawlen(L, at) == sizeof(rotable) &&
         ((const rotable *)lua_touserdata(L, at))->mark == mark;
}

static int rotable_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING || !is_rotable(L, 1)) return 0;
  push_found(L, 1, 2);
  return 1;
}

static int rotable_len(lua_State *L) {
  lua_pushinteger(L, 0);
  return 1;
}

/* Iterates by position, not with lua_next: declaration order is the device's. */
static int rotable_next(lua_State *L) {
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(2));
  lua32_member member;
  lua_settop(L, 0);
  lua_pushinteger(L, i + 1);
  lua_replace(L, lua_upvalueindex(2));
  lua_pushvalue(L, lua_upvalueindex(1));
  if (!lua32_control(L)->at(members_of(L, 1), (size_t)i, &member)) return 0;
  lua_pushlstring(L, member.text, member.text_len);
  push_found(L, 1, 2);
  lua_pushvalue(L, 2);
  lua_insert(L, -2);
  return 2;
}

static int rotable_pairs(lua_State *L) {
  if (!is_rotable(L, 1)) return 0;
  lua_pushvalue(L, 1);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, rotable_next, 2);
  lua_pushvalue(L, 1);
  return 2;
}

/* An __index that looks methods up in a rotable, its upvalue. */
static int method_index(lua_State *L) {
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  lua_settop(L, 2);
  lua_pushvalue(L, lua_upvalueindex(1));
  push_found(L, 3, 2);
  return 1;
}

/* Pops a table of members that exist as Lua values already (it may be empty)
** and pushes the rotable that `members` describes. */
void lua32_rotable(lua_State *L, const void *members) {
  rotable *object = lua_newuserdata(L, sizeof *object);
  object->mark = mark;
  object->members = members;
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

/* Pops a rotable and pushes an __index function that looks methods up in it. */
void lua32_method_index(lua_State *L) {
  lua_pushcclosure(L, method_index, 1);
}

/* Makes the rotable on top the source of string methods. */
void lua32_string_methods(lua_State *L) {
  lua_pushliteral(L, "");
  lua_createtable(L, 0, 1);
  lua_pushvalue(L, -3);
  lua_pushcclosure(L, method_index, 1);
  lua_setfield(L, -2, "__index");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);
}
