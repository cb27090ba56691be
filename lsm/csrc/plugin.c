/* plugin.c: dlopen and one symbol. */
#include "lsm/csrc/plugin.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const void *lsm_plugin_open(const char *path, void **handle, char *why, size_t n) {
    const void *(*entry)(void) = NULL;
    *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!*handle) {
        snprintf(why, n, "%s", dlerror());
        return NULL;
    }
    void *symbol = dlsym(*handle, "lsmlab_component");
    memcpy(&entry, &symbol, sizeof entry);
    const void *table = entry ? entry() : NULL;
    if (!table) {
        snprintf(why, n, "%s", entry ? "lsmlab_component returned NULL" : "it does not define const void *lsmlab_component(void)");
        dlclose(*handle);
        *handle = NULL;
    }
    return table;
}

void lsm_plugin_close(void *handle) {
    if (handle) dlclose(handle);
}
