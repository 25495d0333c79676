// SPDX-License-Identifier: MIT
// Property: the public headers compile alone as C++17, and their functions link.
#include <poolwise/poolwise.hpp>

#if PWISE_HAVE_SECTIONS && !defined(POOLWISE_POOL_INLINE_H)
#error "the fast path is not compiled in"
#endif

int main()
{
    pwise_options options = {};
    options.item_size = sizeof(int);
    pwise_pool *pool = pwise_pool_create(&options);
    void *item = pwise_get(pool);
    pwise_put(pool, item);
    pwise_pool_destroy(pool);
    return item ? 0 : 1;
}
