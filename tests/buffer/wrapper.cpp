// SPDX-License-Identifier: MIT
// Property: the C++ handles put once, construct and destroy once, pass exceptions on, and may
// outlive their pool.
#include <poolwise/poolwise.hpp>

#include <stdexcept>
#include <vector>

#include "../pool/check.h"

namespace
{

int made, unmade;
bool refuse;

struct request {
    request()
    {
        if (refuse)
            throw std::runtime_error("refused");
        made++;
    }
    request(const request &) = delete;
    ~request()
    {
        unmade++;
    }
    std::vector<int> fields;
};

void objects_are_reused()
{
    poolwise::options chosen;
    chosen.name = "requests";
    poolwise::pool<request> pool(
        chosen, [] { return std::make_unique<request>(); },
        [](request &used) { used.fields.clear(); });
    for (int i = 0; i < 1000; i++) {
        auto one = pool.get();
        CHECK_INT(one->fields.size(), ==, 0);
        (*one).fields.push_back(i);
        auto other = std::move(one);
        CHECK_INT(static_cast<bool>(one), ==, 0);
        CHECK_INT(other->fields[0], ==, i);
        auto another = pool.get();
        another = std::move(other);
        CHECK_INT(another->fields[0], ==, i);
    }
    CHECK_INT(made, ==, 2);
    pwise_stats stats{};
    stats.size = sizeof(stats);
    CHECK_INT(pwise_pool_stats(pool.native(), &stats), ==, 0);
    CHECK_INT(stats.puts, ==, 2000);
    CHECK_INT(std::string(stats.name) == "requests", ==, 1);
}

void exceptions_pass()
{
    poolwise::pool<request> pool;
    refuse = true;
    int caught = 0;
    try {
        pool.get();
    } catch (const std::runtime_error &error) {
        caught += std::string(error.what()) == "refused";
    }
    refuse = false;
    CHECK_INT(caught, ==, 1);
    pool.get();
    try {
        auto one = pool.get();
        throw 5;
    } catch (int) {
        caught++;
    }
    CHECK_INT(caught, ==, 2);
    pwise_stats stats{};
    stats.size = sizeof(stats);
    CHECK_INT(pwise_pool_stats(pool.native(), &stats), ==, 0);
    CHECK_INT(stats.puts, ==, 2);
    poolwise::options bad;
    bad.flags = 1u << 30;
    try {
        poolwise::pool<request> none(bad);
    } catch (const std::system_error &error) {
        caught += error.code().value() == EINVAL;
    }
    CHECK_INT(caught, ==, 3);
}

void handles_outlive()
{
    poolwise::pool<request>::handle handle;
    {
        poolwise::pool<request> first;
        poolwise::pool<request> pool = std::move(first);
        handle = pool.get();
        pool.get();
    }
    handle->fields.push_back(1);
    CHECK_INT(made - unmade, ==, 1);
    handle.reset();
    CHECK_INT(made, ==, unmade);
}

struct alignas(256) wide {
    char bytes[300];
};

void aligned()
{
    poolwise::pool<wide> pool;
    auto one = pool.get(), other = pool.get();
    CHECK_INT(reinterpret_cast<uintptr_t>(one.get()) % 256, ==, 0);
    CHECK_INT(reinterpret_cast<uintptr_t>(other.get()) % 256, ==, 0);
}

void buffers()
{
    poolwise::buffer_pool pool;
    for (int i = 0; i < 100; i++) {
        auto text = pool.get();
        text.append("value=").printf("%d", i);
        CHECK_INT(text.str() == "value=" + std::to_string(i), ==, 1);
        auto moved = std::move(text);
        moved.reserve(1000);
        CHECK_INT(moved.capacity(), >, 1000 + moved.size());
        moved.clear();
        CHECK_INT(moved.view().size(), ==, 0);
        CHECK_INT(moved.c_str()[0], ==, '\0');
    }
    auto text = pool.get();
    int caught = 0;
    try {
        text.reserve(static_cast<std::size_t>(-1));
    } catch (const std::system_error &error) {
        caught += error.code().value() == EOVERFLOW;
    }
    CHECK_INT(caught, ==, 1);
}

} // namespace

int main()
{
    pwise_set_reclaim(PWISE_MANUAL, 0);
    objects_are_reused();
    exceptions_pass();
    handles_outlive();
    aligned();
    buffers();
    CHECK_INT(made, ==, unmade);
    return 0;
}
