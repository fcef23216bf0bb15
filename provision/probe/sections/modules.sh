# Loaded modules of interest, from /sys/module: also what is built into the kernel shows there, if it has a version.
for module in /sys/module/nvidia* /sys/module/nouveau /sys/module/nova* /sys/module/mlx* /sys/module/ib_* \
  /sys/module/rdma_* /sys/module/gdrdrv /sys/module/vfio* /sys/module/i915 /sys/module/iommufd; do
  [ -e "$module/initstate" ] || [ -e "$module/version" ] || continue
  value "$module/version"; version=$value
  value "$module/srcversion"; source=$value
  value "$module/taint"
  say module "${module##*/}" "$version" "$source" "$value"
done
