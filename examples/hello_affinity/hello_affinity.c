/* Prints which CPUs this process may use and which accelerators it sees: what a batch user runs first on a new machine. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *or_none(const char *value) { return value ? value : "none"; }

int main(void) {
    char host[256] = "";
    cpu_set_t cpus;
    const char *gap = "";

    if (gethostname(host, sizeof host - 1) != 0 || sched_getaffinity(0, sizeof cpus, &cpus) != 0) {
        perror("hello_affinity");
        return 1;
    }
    printf("host %s cpus ", host);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &cpus)) {
            printf("%s%d", gap, cpu);
            gap = ",";
        }
    printf(" accelerators %s worker %s\n", or_none(getenv("CUDA_VISIBLE_DEVICES")), or_none(getenv("PARSL_WORKER_RANK")));
    return 0;
}
