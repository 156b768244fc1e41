/* A stock interpreter: runs the file it is given; `emit` is `print`. */
#include <stdio.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  luaL_openlibs(L);
  lua_getglobal(L, "print");
  lua_setglobal(L, "emit");
  if (argc != 2 || luaL_dofile(L, argv[1])) {
    fprintf(stderr, "%s\n", argc == 2 ? lua_tostring(L, -1) : "one file");
    return 1;
  }
  lua_close(L);
  return 0;
}
