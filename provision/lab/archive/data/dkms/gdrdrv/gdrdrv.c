/* A stand-in for gdrdrv.ko. */
#include <linux/module.h>
#include <nv-p2p.h>

static int __init begin(void)
{
	return 0;
}

static void __exit end(void) { }

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("stand-in for gdrdrv");
MODULE_LICENSE("Dual MIT/GPL");
MODULE_VERSION("@module_version@");
