/* SPDX-License-Identifier: MIT */
/*
 * poolwise/report.h: the accounts of all pools as a table. In a library of its own,
 * libpoolwise-report.so: linked for this call, or preloaded into a program that is not to be changed:
 *
 *     PWISE_REPORT=stderr LD_PRELOAD=libpoolwise-report.so.0 ./program
 *
 * Where the environment variable PWISE_REPORT is set when the library is loaded, the table is written
 * at exit: to standard error for "stderr", else appended to the file of that name. Pools that are
 * destroyed before count with their last account. A process that ends by a signal or _exit writes
 * none; a file that cannot be opened is named in one line on standard error.
 */
#ifndef POOLWISE_REPORT_H
#define POOLWISE_REPORT_H

#ifdef __cplusplus
extern "C" {
#endif
#ifdef __GNUC__
#pragma GCC visibility push(default)
#endif

/*
 * Writes the table to the descriptor `fd`: a line for each pool that is or, where PWISE_REPORT is set,
 * was, most CPU time saved first. 0, -ENOMEM, or what write() failed with. Any thread; allocates.
 */
int pwise_report(int fd);

#ifdef __GNUC__
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif

#endif
