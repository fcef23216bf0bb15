/* A stand-in for nvidia-drm.ko: needs the module below it, as the real one does. */
#include <linux/module.h>

int nvKmsKapiGetFunctionsTable(void *operations);

static int __init begin(void)
{
	nvKmsKapiGetFunctionsTable(NULL);
	return 0;
}

static void __exit end(void) { }

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("stand-in for nvidia-drm");
MODULE_LICENSE("@licence@");
MODULE_VERSION("@driver@");
