/* SPDX-License-Identifier: MIT */
/*
 * dlopen RED.so BLUE.so: two plugins of the same layout, loaded and unloaded in turns so that each
 * comes to lie where the other was. The same return addresses then belong to different files.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#include "programs.h"

#define ROUNDS 50
#define CALLS  40

static int same_place_count;
static uintptr_t earlier_address;

static void run_plugin(const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(3);
    }
    void *symbol = dlsym(handle, "plugin_run");
    CHECK(symbol != NULL);
    void (*run)(int);
    memcpy(&run, &symbol, sizeof run);
    same_place_count += (uintptr_t)symbol == earlier_address;
    earlier_address = (uintptr_t)symbol;
    run(CALLS);
    CHECK(dlclose(handle) == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    for (int i = 0; i < ROUNDS; i++) {
        run_plugin(argv[1]);
        run_plugin(argv[2]);
    }
    /* Other mappings may take the place now and then; mostly it has to be the same one. */
    CHECK(same_place_count > ROUNDS);
    SAY("{\"paths\": [{\"size\": 8001, \"through\": \"red_allocate\", \"count\": %d}, "
        "{\"size\": 8002, \"through\": \"blue_allocate\", \"count\": %d}]}\n",
        ROUNDS * CALLS, ROUNDS * CALLS);
    return 0;
}
