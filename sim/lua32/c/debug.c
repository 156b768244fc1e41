/* The functions of `debug` that reach into the VM, without its insides.
**
** A script's hook lives beside the one that counts CPU time: each thread still
** counts, and the script's count is reached in steps no longer than ctl's.
** `getregistry` shows a table of the script's own with the entries every Lua
** has: the real one holds what the model must be able to trust. For the same
** reason the values of `setuservalue` lie in a table beside the userdata.
*/
#include "glue.h"

#include "lauxlib.h"
#include "ldebug.h"
#include "ldo.h"
#include "lstate.h"

/* Registry: thread -> {function, count, instructions until the next call}. */
static const char HOOKS = 0;

#define HOOK_FUNCTION 1
#define HOOK_COUNT 2
#define HOOK_LEFT 3

/* Lua wants a hook to be set; lua32_count is called in its place. */
static void count_hook(lua_State *L, lua_Debug *ar) {
  (void)L;
  (void)ar;
}

void lua32_set_hook(lua_State *L, int interval) {
  lua32_control(L)->interval = interval;
  lua_sethook(L, count_hook, interval > 0 ? LUA_MASKCOUNT : 0, interval);
}

/* Pushes the running thread's entry; 0 (and nothing pushed) without one. */
static int push_entry(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &HOOKS);
  lua_pushthread(L);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_istable(L, -1)) return 1;
  lua_pop(L, 1);
  return 0;
}

static void script_hook(lua_State *L, lua_Debug *ar) {
  static const char *const events[] = {
    "call", "return", "line", "count", "tail call"
  };
  if (!push_entry(L)) return;
  lua_rawgeti(L, -1, HOOK_FUNCTION);
  lua_remove(L, -2);
  lua_pushstring(L, events[ar->event]);
  if (ar->currentline >= 0)
    lua_pushinteger(L, ar->currentline);
  else
    lua_pushnil(L);
  lua_call(L, 2, 0);
}

static lua_Integer field(lua_State *L, int index) {
  lua_Integer value;
  lua_rawgeti(L, -1, index);
  value = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return value;
}

/* The next step towards a script's count of which `left` are missing. */
static void set_step(lua_State *L, lua_Integer left) {
  int interval = lua32_control(L)->interval;
  L->basehookcount = (left > 0 && left < interval) ? (int)left : interval;
  resethookcount(L);
}

/* Tells a script's counting hook of `step` instructions; 1: its call is due. */
static int count_for_script(lua_State *L, int step) {
  lua_Integer count, left;
  int due = 0;
  /* As luaD_hook does: what grows the frame here must not stay with it. */
  ptrdiff_t top = savestack(L, L->top);
  ptrdiff_t frame = savestack(L, L->ci->top);
  luaD_checkstack(L, LUA_MINSTACK);
  if (L->ci->top < L->top + LUA_MINSTACK) L->ci->top = L->top + LUA_MINSTACK;
  if (!push_entry(L)) {
    L->ci->top = restorestack(L, frame);
    L->top = restorestack(L, top);
    set_step(L, 0);
    return 0;
  }
  count = field(L, HOOK_COUNT);
  left = field(L, HOOK_LEFT) - step;
  if (count > 0) {
    due = left <= 0;
    if (due) left = count;
    lua_pushinteger(L, left);
    lua_rawseti(L, -2, HOOK_LEFT);
  }
  L->ci->top = restorestack(L, frame);
  L->top = restorestack(L, top);
  set_step(L, count > 0 ? left : 0);
  return due;
}

void lua32_count(lua_State *L) {
  lua32_ctl *ctl = lua32_control(L);
  int step = L->basehookcount;
  ctl->instructions += (uint64_t)step;
  ctl->hook(L);
  if (L->hook == script_hook && L->allowhook && count_for_script(L, step))
    luaD_hook(L, LUA_HOOKCOUNT, -1);
}

/* Settles the running thread's partial count and returns the total. Other
** threads keep theirs until they run again: nothing is lost, only late. */
uint64_t lua32_instructions(lua_State *L) {
  lua32_ctl *ctl = lua32_control(L);
  if (L->basehookcount > 0) {
    int step = L->basehookcount - L->hookcount;
    ctl->instructions += (uint64_t)step;
    resethookcount(L);
    if (L->hook == script_hook) count_for_script(L, step);
  }
  return ctl->instructions;
}

/* The thread a debug function speaks of, and how many arguments name it. */
static lua_State *thread_of(lua_State *L, int *skip) {
  *skip = lua_isthread(L, 1) ? 1 : 0;
  return *skip ? lua_tothread(L, 1) : L;
}

static int sethook(lua_State *L) {
  int skip, mask = LUA_MASKCOUNT;
  lua_State *thread = thread_of(L, &skip);
  lua_Integer count = 0;
  if (lua_isnoneornil(L, skip + 1)) {
    lua_settop(L, skip + 1);
  }
  else {
    const char *wanted = luaL_checkstring(L, skip + 2);
    luaL_checktype(L, skip + 1, LUA_TFUNCTION);
    count = luaL_optinteger(L, skip + 3, 0);
    for (; *wanted; wanted++) {
      if (*wanted == 'c') mask |= LUA_MASKCALL;
      if (*wanted == 'r') mask |= LUA_MASKRET;
      if (*wanted == 'l') mask |= LUA_MASKLINE;
    }
    if (count < 0) count = 0;
  }
  lua_rawgetp(L, LUA_REGISTRYINDEX, &HOOKS);
  if (!lua_checkstack(thread, 1)) return luaL_error(L, "stack overflow");
  lua_pushthread(thread);
  lua_xmove(thread, L, 1);
  if (mask == LUA_MASKCOUNT && count == 0) {
    lua_pushnil(L);
  }
  else {
    lua_createtable(L, 3, 0);
    lua_pushvalue(L, skip + 1);
    lua_rawseti(L, -2, HOOK_FUNCTION);
    lua_pushinteger(L, count);
    lua_rawseti(L, -2, HOOK_COUNT);
    lua_pushinteger(L, count);
    lua_rawseti(L, -2, HOOK_LEFT);
  }
  lua32_instructions(thread);
  thread->hook = lua_isnil(L, -1) ? count_hook : script_hook;
  lua_rawset(L, -3);
  thread->hookmask = (lu_byte)(lua32_control(L)->interval > 0 ? mask : mask & ~LUA_MASKCOUNT);
  if (isLua(thread->ci)) thread->oldpc = thread->ci->u.l.savedpc;
  if (lua32_control(L)->interval > 0) set_step(thread, count);
  return 0;
}

static int gethook(lua_State *L) {
  int skip, length = 0;
  char text[4];
  lua_State *thread = thread_of(L, &skip);
  int mask = thread->hook == script_hook ? thread->hookmask : 0;
  if (!lua_checkstack(thread, 3)) return luaL_error(L, "stack overflow");
  if (thread->hook != script_hook || !push_entry(thread)) {
    lua_pushnil(L);
    mask = 0;
    lua_pushinteger(L, 0);
  }
  else {
    lua_xmove(thread, L, 1);
    lua_rawgeti(L, -1, HOOK_FUNCTION);
    lua_rawgeti(L, -2, HOOK_COUNT);
  }
  if (mask & LUA_MASKCALL) text[length++] = 'c';
  if (mask & LUA_MASKRET) text[length++] = 'r';
  if (mask & LUA_MASKLINE) text[length++] = 'l';
  lua_pushlstring(L, text, (size_t)length);
  lua_insert(L, -2);
  return 3;
}

static int getregistry(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(1));
  return 1;
}

static int set_user_value(lua_State *L) {
  luaL_checktype(L, 1, LUA_TUSERDATA);
  luaL_checkany(L, 2);
  lua_settop(L, 2);
  lua_pushvalue(L, 1);
  lua_insert(L, 2);
  lua_rawset(L, lua_upvalueindex(1));
  return 1;
}

static int get_user_value(lua_State *L) {
  lua_settop(L, 1);
  if (lua_type(L, 1) != LUA_TUSERDATA)
    lua_pushnil(L);
  else
    lua_rawget(L, lua_upvalueindex(1));
  return 1;
}

/* The upvalue functions, for Lua functions only: C functions have an upvalue
** here where on the device they have none. */
static int lua_functions_only(lua_State *L) {
  if (lua_iscfunction(L, 1)) return 0;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

static void weak_table(lua_State *L) {
  lua_newtable(L);
  lua_createtable(L, 0, 1);
  lua_pushliteral(L, "k");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
}

static void open_registry(lua_State *L) {
  static const char *const shared[] = {"_LOADED", "_PRELOAD"};
  static const int places[] = {LUA_RIDX_MAINTHREAD, LUA_RIDX_GLOBALS};
  size_t i;
  lua_newtable(L);
  for (i = 0; i < sizeof shared / sizeof shared[0]; i++) {
    luaL_getsubtable(L, LUA_REGISTRYINDEX, shared[i]);
    lua_setfield(L, -2, shared[i]);
  }
  for (i = 0; i < sizeof places / sizeof places[0]; i++) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, places[i]);
    lua_rawseti(L, -2, places[i]);
  }
}

/* Puts all of this into the table of `debug`, on top of the stack. */
void lua32_open_debug(lua_State *L) {
  static const char *const guarded[] = {
    "getupvalue", "setupvalue", "upvalueid", "upvaluejoin"
  };
  size_t i;
  for (i = 0; i < sizeof guarded / sizeof guarded[0]; i++) {
    lua_getfield(L, -1, guarded[i]);
    lua_pushcclosure(L, lua_functions_only, 1);
    lua_setfield(L, -2, guarded[i]);
  }
  weak_table(L);
  lua_pushvalue(L, -1);
  lua_pushcclosure(L, set_user_value, 1);
  lua_setfield(L, -3, "setuservalue");
  lua_pushcclosure(L, get_user_value, 1);
  lua_setfield(L, -2, "getuservalue");
  open_registry(L);
  lua_pushcclosure(L, getregistry, 1);
  lua_setfield(L, -2, "getregistry");
  weak_table(L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &HOOKS);
  /* Any upvalue gives a C function an address in the VM's heap. */
  lua_pushnil(L);
  lua_pushcclosure(L, sethook, 1);
  lua_setfield(L, -2, "sethook");
  lua_pushnil(L);
  lua_pushcclosure(L, gethook, 1);
  lua_setfield(L, -2, "gethook");
}
