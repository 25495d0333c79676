// SPDX-License-Identifier: MIT
//
// poolwise/poolwise.hpp: pools of C++ objects and of buffers, whose handles put back what they hold.
//
//     poolwise::pool<request> requests({.name = "requests"});     // or with a factory and a reset
//     auto one = requests.get();                                  // one->..., put at the end of scope
//
// The contract is that of <poolwise/pool.h>, with exceptions: get() throws what the constructor
// threw, std::bad_alloc, or std::system_error; nothing is ever thrown through the library. An object
// is constructed once and used many times; the reset, if there is one, runs before it is used
// again. A handle may outlive its pool.
#ifndef POOLWISE_POOLWISE_HPP
#define POOLWISE_POOLWISE_HPP

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "poolwise/buffer.h"
#include "poolwise/pool.h"

namespace poolwise
{

struct options {
    const char *name = nullptr;
    std::size_t max_idle_bytes = 0;
    unsigned per_cpu_items = 0;
    unsigned flags = 0; // PWISE_NO_STEAL
};

namespace detail
{
[[noreturn]] inline void fail(const char *what)
{
    if (errno == ENOMEM)
        throw std::bad_alloc();
    throw std::system_error(errno, std::generic_category(), what);
}
} // namespace detail

template <class T> class pool
{
    // Lives until the last object is destroyed, which may be after the pool.
    struct shared {
        std::function<std::unique_ptr<T>()> make;
        std::function<void(T &)> reset;
        std::atomic<std::size_t> references{1};

        void unreference() noexcept
        {
            if (references.fetch_sub(1, std::memory_order_acq_rel) == 1)
                delete this;
        }
    };

    // What a constructor threw below the library, for the get above it.
    static std::exception_ptr &pending() noexcept
    {
        static thread_local std::exception_ptr exception;
        return exception;
    }

    static void *create(void *context) noexcept
    {
        auto *state = static_cast<shared *>(context);
        try {
            std::unique_ptr<T> object = state->make();
            if (!object)
                throw std::bad_alloc();
            state->references.fetch_add(1, std::memory_order_relaxed);
            return object.release();
        } catch (...) {
            pending() = std::current_exception();
            errno = ENOMEM;
            return nullptr;
        }
    }

    static void destroy(void *item, void *context) noexcept
    {
        delete static_cast<T *>(item);
        static_cast<shared *>(context)->unreference();
    }

  public:
    // Puts its object back when it goes. Moves as std::unique_ptr does; empty where moved from.
    class handle
    {
      public:
        handle() noexcept = default;
        handle(handle &&other) noexcept
            : pool_(std::exchange(other.pool_, nullptr)),
              object_(std::exchange(other.object_, nullptr))
        {
        }
        handle &operator=(handle &&other) noexcept
        {
            if (this != &other) {
                reset();
                pool_ = std::exchange(other.pool_, nullptr);
                object_ = std::exchange(other.object_, nullptr);
            }
            return *this;
        }
        ~handle()
        {
            reset();
        }

        T *get() const noexcept
        {
            return object_;
        }
        T &operator*() const noexcept
        {
            return *object_;
        }
        T *operator->() const noexcept
        {
            return object_;
        }
        explicit operator bool() const noexcept
        {
            return object_ != nullptr;
        }
        // Puts the object back now.
        void reset() noexcept
        {
            if (object_)
                pwise_put(pool_, object_);
            object_ = nullptr;
        }

      private:
        friend class pool;
        handle(pwise_pool *pool, T *object) noexcept : pool_(pool), object_(object)
        {
        }
        pwise_pool *pool_ = nullptr;
        T *object_ = nullptr;
    };

    // `make` gives a fresh object, by default a default-constructed one. `reset` must not throw.
    explicit pool(const options &chosen = {},
                  std::function<std::unique_ptr<T>()> make = [] { return std::make_unique<T>(); },
                  std::function<void(T &)> reset = nullptr)
        : state_(new shared{std::move(make), std::move(reset)})
    {
        pwise_options inner = {};
        inner.name = chosen.name;
        inner.item_size = sizeof(T);
        inner.create = create;
        inner.destroy = destroy;
        inner.context = state_;
        inner.max_idle_bytes = chosen.max_idle_bytes;
        inner.per_cpu_items = chosen.per_cpu_items;
        inner.flags = chosen.flags;
        if (state_->reset)
            inner.reset = [](void *item, void *context) noexcept {
                static_cast<shared *>(context)->reset(*static_cast<T *>(item));
            };
        pool_ = pwise_pool_create(&inner);
        if (!pool_) {
            int error = errno;
            state_->unreference();
            errno = error;
            detail::fail("poolwise::pool");
        }
    }
    pool(pool &&other) noexcept
        : state_(std::exchange(other.state_, nullptr)), pool_(std::exchange(other.pool_, nullptr))
    {
    }
    pool &operator=(pool &&other) noexcept
    {
        std::swap(state_, other.state_);
        std::swap(pool_, other.pool_);
        return *this;
    }
    ~pool()
    {
        pwise_pool_destroy(pool_);
        if (state_)
            state_->unreference();
    }

    handle get()
    {
        void *item = pwise_get(pool_);
        if (!item) {
            if (std::exception_ptr thrown = std::exchange(pending(), nullptr))
                std::rethrow_exception(thrown);
            detail::fail("poolwise::pool::get");
        }
        return handle(pool_, static_cast<T *>(item));
    }

    // For the functions of <poolwise/pool.h>; still this object's.
    pwise_pool *native() const noexcept
    {
        return pool_;
    }

  private:
    shared *state_;
    pwise_pool *pool_;
};

// A buffer from a pool of buffers; goes back by itself.
class buffer
{
  public:
    buffer(buffer &&other) noexcept
        : pool_(other.pool_), buffer_(std::exchange(other.buffer_, nullptr))
    {
    }
    buffer &operator=(buffer &&other) noexcept
    {
        std::swap(pool_, other.pool_);
        std::swap(buffer_, other.buffer_);
        return *this;
    }
    ~buffer()
    {
        pwise_buffer_pool_put(pool_, buffer_);
    }

    buffer &append(std::string_view bytes)
    {
        check(pwise_buffer_append(buffer_, bytes.data(), bytes.size()));
        return *this;
    }
    PWISE_FORMAT_(2, 3) buffer &printf(const char *format, ...)
    {
        std::va_list arguments;
        va_start(arguments, format);
        int error = pwise_buffer_vprintf(buffer_, format, arguments);
        va_end(arguments);
        check(error);
        return *this;
    }
    void reserve(std::size_t count)
    {
        check(pwise_buffer_reserve(buffer_, count));
    }
    void clear() noexcept
    {
        pwise_buffer_reset(buffer_);
    }
    std::string_view view() const noexcept
    {
        return {buffer_->data, buffer_->length};
    }
    std::string str() const
    {
        return std::string(view());
    }
    const char *c_str() const noexcept
    {
        return buffer_->data;
    }
    std::size_t size() const noexcept
    {
        return buffer_->length;
    }
    std::size_t capacity() const noexcept
    {
        return buffer_->capacity;
    }
    pwise_buffer *native() const noexcept
    {
        return buffer_;
    }

  private:
    friend class buffer_pool;
    buffer(pwise_buffer_pool *pool, pwise_buffer *got) noexcept : pool_(pool), buffer_(got)
    {
    }
    static void check(int error)
    {
        if (error) {
            errno = -error;
            detail::fail("poolwise::buffer");
        }
    }
    pwise_buffer_pool *pool_;
    pwise_buffer *buffer_;
};

class buffer_pool
{
  public:
    explicit buffer_pool(const pwise_buffer_pool_options &chosen = {})
        : pool_(pwise_buffer_pool_create(&chosen))
    {
        if (!pool_)
            detail::fail("poolwise::buffer_pool");
    }
    buffer_pool(buffer_pool &&other) noexcept : pool_(std::exchange(other.pool_, nullptr))
    {
    }
    buffer_pool &operator=(buffer_pool &&other) noexcept
    {
        std::swap(pool_, other.pool_);
        return *this;
    }
    ~buffer_pool()
    {
        pwise_buffer_pool_destroy(pool_);
    }

    buffer get()
    {
        pwise_buffer *got = pwise_buffer_pool_get(pool_);
        if (!got)
            detail::fail("poolwise::buffer_pool::get");
        return buffer(pool_, got);
    }
    pwise_buffer_pool *native() const noexcept
    {
        return pool_;
    }

  private:
    pwise_buffer_pool *pool_;
};

} // namespace poolwise

#endif
