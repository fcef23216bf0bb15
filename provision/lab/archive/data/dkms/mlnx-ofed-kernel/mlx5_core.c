/* A stand-in for OFED's mlx5_core.ko: a name and a version. */
#include <linux/module.h>

static int __init begin(void)
{
	return 0;
}

static void __exit end(void) { }

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("stand-in for mlx5_core");
MODULE_LICENSE("Dual BSD/GPL");
MODULE_VERSION("@ofed@");
