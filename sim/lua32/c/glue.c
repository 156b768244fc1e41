/* Where Lua's C and our Rust meet.
**
** Lua raises errors by longjmp; Rust frames must never be jumped over. So
** while Rust runs (ctl->native != 0) nothing in the Lua API may raise: the
** collector is stopped (finalisers could raise) and the heap limit is not
** enforced (ctl->native is what the allocator looks at). Both are made good
** in lua32_dispatch, a C frame, after Rust has returned. Rust reports errors
** as a return code, and the raise happens here.
*/
#include "glue.h"

#include "lauxlib.h"
#include "lualib.h"
#include "lapi.h"
#include "ldebug.h"
#include "ldo.h"
#include "lgc.h"
#include "lmem.h"
#include "lobject.h"
#include "lstate.h"

lua32_ctl *lua32_control(lua_State *L) {
  return *(lua32_ctl **)lua_getextraspace(L);
}

void lua32_set_control(lua_State *L, lua32_ctl *ctl) {
  *(lua32_ctl **)lua_getextraspace(L) = ctl;
}

/* A 64-bit LCG (newlib's), started from the host's seed: the board has a
** hardware source here, which no simulation can repeat. */
int lua32_rand(lua_State *L) {
  lua32_ctl *ctl = lua32_control(L);
  ctl->random = ctl->random * 6364136223846793005ull + 1;
  return (int)(ctl->random >> 32) & 0x7fffffff;
}

/* The board draws from its hardware: seeding has no effect on it. */
void lua32_srand(lua_State *L, unsigned int seed) {
  (void)L;
  (void)seed;
}

static void collect_if_due(lua_State *L, lua32_ctl *ctl) {
  luaC_checkGC(L);
  if (ctl->used > ctl->limit) {
    luaC_fullgc(L, 1);
    if (ctl->used > ctl->limit) luaD_throw(L, LUA_ERRMEM);
  }
}

int lua32_dispatch(lua_State *L) {
  lua32_ctl *ctl = lua32_control(L);
  global_State *g = G(L);
  const void *func = lua_touserdata(L, lua_upvalueindex(1));
  int outermost = ctl->native == 0;
  int n;
  if (outermost) ctl->gc_outer = g->gcrunning;
  g->gcrunning = 0;
  ctl->native++;
  n = ctl->entry(L, func);
  ctl->native--;
  if (outermost) {
    g->gcrunning = (lu_byte)ctl->gc_outer;
    collect_if_due(L, ctl);
  }
  switch (n) {
    case LUA32_RAISE_AT: {
      size_t len;
      const char *text = lua_tolstring(L, -1, &len);
      luaL_where(L, 1);
      lua_pushlstring(L, text, len);
      lua_concat(L, 2);
      return lua_error(L);
    }
    case LUA32_RAISE_VALUE: return lua_error(L);
    case LUA32_RAISE_ARG: return luaL_argerror(L, ctl->arg, lua_tostring(L, -1));
    default: return n;
  }
}

/* Calls what lies below `nargs` arguments. The VM proper runs again, so the
** collector and the heap limit come back for the time of the call. */
int lua32_call(lua_State *L, int nargs, int nresults) {
  lua32_ctl *ctl = lua32_control(L);
  global_State *g = G(L);
  int native = ctl->native;
  int status;
  ctl->native = 0;
  g->gcrunning = (lu_byte)ctl->gc_outer;
  status = lua_pcall(L, nargs, nresults, 0);
  ctl->gc_outer = g->gcrunning;
  g->gcrunning = 0;
  ctl->native = native;
  return status;
}

/* Compiles text or loads a dump; a syntax error is returned, not raised. */
int lua32_load(lua_State *L, const char *text, size_t len, const char *chunk) {
  lua32_ctl *ctl = lua32_control(L);
  int native = ctl->native;
  int status;
  ctl->native = 0;
  status = luaL_loadbufferx(L, text, len, chunk, "bt");
  ctl->native = native;
  return status;
}

/* Rust owns the state from here on: the state a dispatch would establish. */
void lua32_enter_native(lua_State *L) {
  lua32_ctl *ctl = lua32_control(L);
  ctl->gc_outer = G(L)->gcrunning;
  G(L)->gcrunning = 0;
  ctl->native = 1;
}

void lua32_full_gc(lua_State *L) {
  /* An emergency collection runs no finaliser, so nothing can raise. */
  luaC_fullgc(L, 1);
}

void lua32_push_function(lua_State *L, const void *func) {
  lua_pushlightuserdata(L, (void *)func);
  lua_pushcclosure(L, lua32_dispatch, 1);
}

/* The same with a value of its own, popped from the stack. */
void lua32_push_function_with(lua_State *L, const void *func) {
  lua_pushlightuserdata(L, (void *)func);
  lua_insert(L, -2);
  lua_pushcclosure(L, lua32_dispatch, 2);
}

void lua32_push_own_value(lua_State *L) {
  lua_pushvalue(L, lua_upvalueindex(2));
}

/* A step of the matcher is some 50 cycles, a VM instruction some 200. */
#define STEPS 1000
#define STEPS_PER_INSTRUCTION 4

void lua32_pattern_step(lua_State *L) {
  lua32_ctl *ctl = lua32_control(L);
  if (++ctl->pattern_steps < STEPS) return;
  ctl->pattern_steps = 0;
  ctl->instructions += STEPS / STEPS_PER_INSTRUCTION;
  ctl->hook(L);
}

void lua32_set_pause(lua_State *L, int percent) {
  lua_gc(L, LUA_GCSETPAUSE, percent);
}

/* `collectgarbage("count")` speaks of the device's heap; the rest is stock. */
static int collectgarbage(lua_State *L) {
  const char *what = luaL_optstring(L, 1, "collect");
  if (what[0] == 'c' && what[1] == 'o' && what[2] == 'u') {
    const lua32_ctl *ctl = lua32_control(L);
    size_t shown = ctl->used > ctl->hidden ? ctl->used - ctl->hidden : 0;
    lua_pushnumber(L, (lua_Number)shown / 1024);
    return 1;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* Dumps the Lua function on top through `write`; 0 if it is none. */
int lua32_dump(lua_State *L, lua_Writer write, void *data, int strip_debug) {
  return lua_dump(L, write, data, strip_debug) == 0;
}

static int tostring_meta(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

void lua32_push_tostring(lua_State *L) {
  lua_pushcfunction(L, tostring_meta);
}

/* Gives every plain C function of the table on top an upvalue, and thereby an
** address in the VM's heap: the host's code addresses differ from run to run,
** and addresses show (`tostring(print)`) and order tables. */
static void fix_addresses(lua_State *L) {
  int table = lua_gettop(L);
  int fixed = table + 1;  /* closures by function: aliases stay equal */
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_CFunction function = lua_tocfunction(L, -1);
    if (function && !lua_getupvalue(L, -1, 1)) {
      if (lua_rawgetp(L, fixed, (void *)function) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_pushnil(L);
        lua_pushcclosure(L, function, 1);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, fixed, (void *)function);
      }
      lua_pushvalue(L, -3);
      lua_insert(L, -2);
      lua_rawset(L, table);
    } else if (function) {
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

static int open_base(lua_State *L) {
  luaL_requiref(L, "_G", luaopen_base, 1);
  fix_addresses(L);
  lua_getfield(L, -1, "collectgarbage");
  lua_pushcclosure(L, collectgarbage, 1);
  lua_setfield(L, -2, "collectgarbage");
  return 0;
}

/* Leaves the table of one of PUC's C libraries on the stack. */
static int open_stock(lua_State *L) {
  static const struct { const char *name; lua_CFunction open; } libs[] = {
    {"coroutine", luaopen_coroutine}, {"table", luaopen_table},
    {"string", luaopen_string}, {"math", luaopen_math},
    {"utf8", luaopen_utf8}, {"debug", luaopen_debug},
    {"bit32", luaopen_bit32},
  };
  const char *name = lua_tostring(L, 1);
  size_t i;
  for (i = 0; i < sizeof libs / sizeof libs[0]; i++) {
    const char *a = libs[i].name, *b = name;
    while (*a && *a == *b) { a++; b++; }
    if (*a != *b) continue;
    libs[i].open(L);
    fix_addresses(L);
    if (libs[i].open == luaopen_debug) lua32_open_debug(L);
    if (libs[i].open == luaopen_table) {
      lua_getfield(L, -1, "unpack");
      lua_setglobal(L, "unpack");
    }
    return 1;
  }
  return luaL_error(L, "no stock library '%s'", name);
}

void lua32_push_open_base(lua_State *L) { lua_pushcfunction(L, open_base); }
void lua32_push_open_stock(lua_State *L) { lua_pushcfunction(L, open_stock); }

/* Pushes the chunk name of the running function's caller and returns the line
** in it, -1 where that is not known; -2 (and pushes nothing) without a caller. */
int lua32_caller(lua_State *L) {
  lua_Debug ar;
  if (!lua_getstack(L, 1, &ar)) return -2;
  lua_getinfo(L, "Sl", &ar);
  lua_pushstring(L, ar.source);
  return ar.currentline;
}
