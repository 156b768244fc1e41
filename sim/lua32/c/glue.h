/* Shared between the Lua core, the glue and Rust (src/ffi.rs mirrors it). */
#ifndef LUA32_GLUE_H
#define LUA32_GLUE_H

#include <stddef.h>
#include <stdint.h>
#include "lua.h"

/* What Rust tells of one member of a library. */
typedef struct lua32_member {
  int kind;
  lua_Integer integer;
  lua_Number number;
  const void *func;
  const char *text;  /* LUA32_MEMBER_NAMED: the function's own value;
                        in answers of `at`: the member's name */
  size_t text_len;
} lua32_member;

#define LUA32_MEMBER_FUNCTION 0
#define LUA32_MEMBER_NAMED 1
#define LUA32_MEMBER_INTEGER 2
#define LUA32_MEMBER_NUMBER 3
#define LUA32_MEMBER_NULL 4

/* One per VM; every Lua thread's extra space points at it. */
typedef struct lua32_ctl {
  /* Runs the Rust function `func`. Returns the number of results, or one of
     the LUA32_RAISE_* codes with the error (or argument message) on top. */
  int (*entry)(lua_State *L, const void *func);
  /* The instruction hook; may switch stacks, must not raise. */
  void (*hook)(lua_State *L);
  /* Describe a library's member, by name or by position; 0: there is none. */
  int (*find)(const void *members, const char *name, size_t len, lua32_member *out);
  int (*at)(const void *members, size_t index, lua32_member *out);
  uint64_t instructions;  /* VM instructions executed and settled so far */
  int arg;                /* argument number of a LUA32_RAISE_ARG */
  int native;             /* != 0 while Rust frames stand above the VM */
  int gc_outer;           /* the collector's switch, as the script set it */
  size_t used;            /* heap in device bytes, kept by the allocator */
  size_t limit;           /* heap limit in device bytes */
  size_t hidden;          /* used bytes that collectgarbage does not show */
  uint64_t random;        /* state of math.random */
  int pattern_steps;      /* steps of string matching not charged yet */
  int interval;           /* VM instructions between two calls of `hook` */
} lua32_ctl;

#define LUA32_RAISE_AT (-1)    /* message; the caller's position is put before */
#define LUA32_RAISE_VALUE (-2) /* any value, raised as it is */
#define LUA32_RAISE_ARG (-3)   /* message of a bad argument, number in ctl->arg */

lua32_ctl *lua32_control(lua_State *L);
void lua32_push_function(lua_State *L, const void *func);
void lua32_push_function_with(lua_State *L, const void *func);
/* math.random's source, one per VM; build.rs points lmathlib at it. */
int lua32_rand(lua_State *L);
void lua32_srand(lua_State *L, unsigned int seed);

/* Called by the VM every `hook_interval` instructions, and by pattern matching
   for every step. */
void lua32_count(lua_State *L);
void lua32_pattern_step(lua_State *L);

/* debug.c: completes the table of `debug` on top of the stack. */
void lua32_open_debug(lua_State *L);

int lua32_snprintf(char *out, size_t size, const char *format, ...);

#endif
