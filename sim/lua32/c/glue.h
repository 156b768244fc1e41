/* Shared between the Lua core, the glue and Rust (src/ffi.rs mirrors it). */
#ifndef LUA32_GLUE_H
#define LUA32_GLUE_H

#include <stddef.h>
#include <stdint.h>
#include "lua.h"

/* One per VM; every Lua thread's extra space points at it. */
typedef struct lua32_ctl {
  /* Runs the Rust function `func`. Returns the number of results, or one of
     the LUA32_RAISE_* codes with the error (or argument message) on top. */
  int (*entry)(lua_State *L, const void *func);
  /* The instruction hook; may switch stacks, must not raise. */
  void (*hook)(lua_State *L);
  uint64_t instructions;  /* VM instructions executed and settled so far */
  int arg;                /* argument number of a LUA32_RAISE_ARG */
  int native;             /* != 0 while Rust frames stand above the VM */
  int gc_outer;           /* the collector's switch, as the script set it */
  size_t used;            /* heap in device bytes, kept by the allocator */
  size_t limit;           /* heap limit in device bytes */
  size_t hidden;          /* used bytes that collectgarbage does not show */
  uint64_t random;        /* state of math.random */
} lua32_ctl;

#define LUA32_RAISE_AT (-1)    /* message; the caller's position is put before */
#define LUA32_RAISE_VALUE (-2) /* any value, raised as it is */
#define LUA32_RAISE_ARG (-3)   /* message of a bad argument, number in ctl->arg */

lua32_ctl *lua32_control(lua_State *L);
/* math.random's source, one per VM; build.rs points lmathlib at it. */
int lua32_rand(lua_State *L);
void lua32_srand(lua_State *L, unsigned int seed);

int lua32_snprintf(char *out, size_t size, const char *format, ...);

#endif
