/* A stand-in for nvidia-peermem.ko: registers with the InfiniBand core that it was built against. Built without OFED it
 * starts with EINVAL, as the real one does. */
#include <linux/module.h>
#include "nv-p2p.h"

static int peerdirect_support;
module_param(peerdirect_support, int, 0444);

#ifdef NV_MLNX_IB_PEER_MEM_SYMBOLS_PRESENT
#include <rdma/peer_mem.h>

static int acquire(unsigned long start, size_t length)
{
	struct nvidia_p2p_page_table *table;

	return nvidia_p2p_get_pages(start, length, &table);
}

static const struct peer_memory_client client = { .name = "nv_mem", .acquire = acquire };
static void *handle;

static int __init begin(void)
{
	handle = ib_register_peer_memory_client(&client, NULL);
	return handle ? 0 : -EINVAL;
}

static void __exit end(void)
{
	ib_unregister_peer_memory_client(handle);
}
#else
static int __init begin(void)
{
	struct nvidia_p2p_page_table *table;

	nvidia_p2p_get_pages(0, 0, &table);
	return -EINVAL;
}

static void __exit end(void) { }
#endif

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("stand-in for nvidia-peermem");
MODULE_LICENSE("Dual BSD/GPL");
MODULE_VERSION("@driver@");
