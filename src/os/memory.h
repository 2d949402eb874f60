/* The memory of this process, as the system sees it. */
#ifndef FF_OS_MEMORY_H
#define FF_OS_MEMORY_H

#include <stdint.h>

/* Gives back what an idle process does not need: free heap, and pages of the program and its libraries that were read at
 * start-up (they come back, from the page cache, when they are used). Some milliseconds; any thread. */
void os_memory_trim(void);
/* From now on threads that are new share one heap: less memory, and they wait for each other more. For a process that
 * is limited by others, not by its own processor time. */
void os_memory_share_heap(void);
/* What of this process is in memory (RSS), in bytes; 0: not known. */
uint64_t os_memory_resident(void);
/* What there is for this process and all others: the machine's memory, or that of the container it is in; 0: not known. */
uint64_t os_memory_machine(void);

#endif
